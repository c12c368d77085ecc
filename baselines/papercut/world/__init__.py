"""The world of PaperCut: procedural scenes of cut paper, with captions and exact object masks."""
