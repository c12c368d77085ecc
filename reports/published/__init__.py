"""Numbers of published tables, each with its source and how sure it is: `results.csv` and `ablations.csv`.

A was read in the full text of two papers, B in one copy by others, C is derived from other published numbers.
"""
