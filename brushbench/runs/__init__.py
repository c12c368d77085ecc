"""Runs and their folders: identity, ledger, images, scores, and the processes at work on them."""
