"""PaperCut's models: how the miniature family is trained. `python -m brushbench.baselines.papercut --help`."""
