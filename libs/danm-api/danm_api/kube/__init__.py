"""Talking to the Kubernetes API server: the only package of the library that does."""
