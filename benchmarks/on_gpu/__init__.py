"""The measurements of `benchmarks/gpu.py`, one module per kind."""
