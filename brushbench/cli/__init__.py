"""The command line. It parses, delegates and prints."""
