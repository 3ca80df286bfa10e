"""What the record of addresses (DanmIPBlocks) says, and whether the cluster fits to it. Pure."""
