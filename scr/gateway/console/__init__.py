"""The console: pages on which an operator sees and steers the facts, from the gateway itself."""
