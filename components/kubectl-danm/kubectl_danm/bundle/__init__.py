"""What may go into the archive for a bug report, and what never does. Pure."""
