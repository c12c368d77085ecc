"""Numbers of published tables, each with its source and the confidence in it.

`results.csv` and `ablations.csv` hold the numbers of BrushNet's authors and of papers that reprint them, with which
runs are compared; `other_papers.csv` holds those that other papers measured with set-ups of their own.
`registry.CONFIDENCE` says what the letters mean.
"""
