"""Numbers of published tables, each with its source and how sure it is.

`results.csv` and `ablations.csv` hold the numbers of BrushNet's authors and of papers that reprint them, against which
runs are held; `other_papers.csv` those that other papers measured on set-ups of their own. `registry.CONFIDENCE` says
what the letters mean.
"""
