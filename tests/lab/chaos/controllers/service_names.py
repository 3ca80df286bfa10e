"""What objects of a run with Services are called. Pure.

Names are few, so that an object often meets what is left of its predecessor.
"""

from typing import Final

NAMESPACES: Final = ("red", "blue", "crowd")
SERVICE_NAMES: Final = tuple(f"s{number}" for number in range(6))
POD_NAMES: Final = tuple(f"p{number}" for number in range(14))
CROWD: Final = "crowd"
"""A Service with many Pods, and the namespace of both."""
NETWORKS: Final = ("internal", "external")
APPS: Final = ("x", "y")
"""Values of the label by which Services select Pods."""
