"""The version of fakeipam; `python -m versions` brings it to wherever it stands. Pure."""

VERSION = "0.1.0"
