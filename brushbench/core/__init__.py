"""The vocabulary that the rest of the suite uses. It imports no other part of the suite."""
