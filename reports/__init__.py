"""Reports: runs -> one tidy pandas frame -> tables."""
