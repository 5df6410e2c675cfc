"""The vector index: derived from the ledger, rebuildable, incremental."""
