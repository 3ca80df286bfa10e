"""The `danm` executable: what the container runtime starts. It decides nothing."""
