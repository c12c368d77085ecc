"""PaperCut's models: how the miniature family is trained. `python -m baselines.papercut --help`."""
