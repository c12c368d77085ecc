"""Tools on a whole data set: get, verify, convert, show."""
