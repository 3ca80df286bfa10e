"""How long a test waits for what must come."""

from typing import Final

HANGS_S: Final = 50.0
"""Ends a test that would wait for ever, and none on a machine that stands still for a while.

Less than pytest's own limit, 60 s, which does not say what was waited for.
"""
