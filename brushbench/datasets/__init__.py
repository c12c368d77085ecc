"""Readers of data sets. Each is a class with `open(root, split)`; samples are decoded when they are requested."""
