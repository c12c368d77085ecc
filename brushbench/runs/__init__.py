"""What a run is, and what is stored of it: identity, ledger, images, scores, and who is at work on it."""
