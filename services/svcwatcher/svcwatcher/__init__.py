"""svcwatcher: Services are found at the addresses of the network that they ask for (SPEC S)."""
