"""docs/reference, written from definitions, options and errors in the code."""
