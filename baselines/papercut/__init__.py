"""Training and evaluation of PaperCut's tiny models; see `python -m brushbench.baselines.papercut --help`."""
