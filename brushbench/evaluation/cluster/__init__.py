"""`--engine ray`: share a run among the workers of a Ray cluster."""
