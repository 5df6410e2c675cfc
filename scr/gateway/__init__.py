"""The OpenAI-compatible server in front of an unmodified model."""
