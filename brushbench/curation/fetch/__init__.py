"""Downloads of data sets, and their archives."""
