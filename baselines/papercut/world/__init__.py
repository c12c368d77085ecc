"""PaperCut's scenes: procedural pictures of cut paper, with captions and exact object masks."""
