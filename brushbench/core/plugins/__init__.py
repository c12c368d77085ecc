"""Methods, metrics and data sets of the user's own: their files, the code behind them, and what they state."""
