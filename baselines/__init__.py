"""Inpainting methods: `(Batch, seeds) -> images`."""
