"""An example of a plug-in for BrushBench; pyproject.toml names what is in it."""
