"""Frozen types of DANM's API objects and of CNI results. Pure: no network, clock or root."""
