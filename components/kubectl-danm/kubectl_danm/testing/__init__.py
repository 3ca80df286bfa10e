"""A cluster in memory, and the program that looks at it."""
