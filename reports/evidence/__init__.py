"""Whether a difference is real: several seeds, ranks, pairs of methods, tails, and how many samples it takes.

Everything here is made of one grid of scores for each metric: methods, each with its images and seeds.
"""
