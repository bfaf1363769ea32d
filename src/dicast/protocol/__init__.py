"""The node that decides and never waits: an input and the time in, a batch of effects out (pure)."""
