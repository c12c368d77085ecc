"""Metrics: `(Batch, images) -> scores`, one number per sample."""
