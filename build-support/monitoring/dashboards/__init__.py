"""The dashboards, one a module."""

from collections.abc import Mapping

from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.dashboards import additions, controllers, ipam, networks, nodes


def dashboards() -> Mapping[str, Dashboard]:
    """Return all dashboards by the names of their files."""
    return {
        "networks": networks.networks().build(),
        "nodes": nodes.nodes().build(),
        "add-latency": additions.additions().build(),
        "ipam-svc": ipam.ipam().build(),
        "controllers": controllers.controllers().build(),
    }
