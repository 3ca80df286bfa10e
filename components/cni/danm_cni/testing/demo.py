"""Entries of the demo's annotations."""

from typing import Any, Final

INTERNAL: Final[dict[str, Any]] = {"network": "internal", "ip": "dynamic"}
EXTERNAL: Final[dict[str, Any]] = {
    "network": "external",
    "ip": "dynamic",
    "proutes": {"203.0.113.0/24": "10.100.20.1"},
}
MANAGEMENT: Final[dict[str, Any]] = {"network": "management", "ip": "dynamic"}
