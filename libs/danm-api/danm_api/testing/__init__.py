"""Fakes, builders and strategies for tests of DANM and of what others build on it."""
