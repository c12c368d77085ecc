"""Plug-ins, which are a user's own methods, metrics and data sets: their files, their code and the facts they state."""
