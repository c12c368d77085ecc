"""Turn a configuration into a finished run: resolve, generate and score, on this machine or on a cluster."""
