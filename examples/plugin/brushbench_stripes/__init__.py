"""An example of a plug-in for BrushBench; its entry points are in pyproject.toml."""
