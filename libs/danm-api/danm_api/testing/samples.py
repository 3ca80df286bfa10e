"""What the process's metrics say, for tests of what is counted."""

from prometheus_client import REGISTRY


def sample(name: str, **labels: str) -> float:
    """Return a sample's value; 0 for what has not been counted yet.

    Args:
        name: With its suffix, such as ``_total`` or ``_count``.
        labels: All of them.
    """
    return REGISTRY.get_sample_value(name, labels) or 0.0
