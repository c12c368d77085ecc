"""Pixels: pictures and masks, on disk and in memory."""
