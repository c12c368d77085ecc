"""The vocabulary: what everything else is said in. Imports nothing of the house."""
