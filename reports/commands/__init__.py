"""The commands that make something of runs; the command line finds them by name."""
