"""The real clock: runs a node's batches against real adapters."""
