"""The contract of a method, metric or data set, tried on a tiny batch: `brushbench validate`."""
