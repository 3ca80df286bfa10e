"""What ./test runs beside Pants, and how it counts."""
