"""svcwatcher's half of `lab bench controllers`, and Kubernetes' own controller beside it."""
