"""The commands: what each reads, and how its answer is printed."""
