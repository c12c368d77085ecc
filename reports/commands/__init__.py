"""The commands that report on runs; the command line finds them by name."""
