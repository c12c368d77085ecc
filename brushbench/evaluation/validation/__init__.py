"""`brushbench validate`: check that a method, metric or data set keeps its contract, on a tiny batch."""
