"""Read from source files, without executing them, which options a method, metric or data set has."""
