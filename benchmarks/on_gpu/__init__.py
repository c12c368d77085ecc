"""The measurements of `benchmarks/gpu.py`, a module for each kind."""
