"""Turn runs into one tidy pandas frame, and the frame into tables and figures."""
