"""A CNI IPAM plugin that prints the address that it is given (SPEC F)."""
