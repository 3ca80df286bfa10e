"""The typed API library that every part of DANM shares."""
