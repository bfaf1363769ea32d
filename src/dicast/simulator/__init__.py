"""Networks of real nodes on a heap of events, with faults, adversaries and checkers."""
