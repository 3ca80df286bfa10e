"""Fakes of danmd's edges, and a node made of them."""
