"""From a configuration to a finished run: resolve it, generate, score; here or on a cluster."""
