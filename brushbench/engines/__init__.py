"""Who hands out the samples of a run: this process, or a cluster. The worker is the same."""
