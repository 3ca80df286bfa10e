"""The DanmNets of the nodes without a lab, and what Pods ask of them."""

from typing import Any, Final

from danm_api.kube.api import DANMNETS
from tests.lab.chaos.cni.facts import Wanted
from tests.lab.chaos.cni.stage import BRIDGE, FALLBACK_BRIDGE, NAMESPACE, PARENT, Stage
from tests.lab.kube_objects import accept_network

_GATEWAY, _GATEWAY6, _NEXT = "10.90.0.1", "2001:db8:90::1", "192.0.2.1"
_MAC: Final = Wanted(
    name="mac0",
    network="mac",
    families=(4, 6),
    routes=(
        ("198.51.100.0/24", _GATEWAY, "main"),
        ("2001:db8:1::/64", _GATEWAY6, "main"),
        ("203.0.113.0/24", _GATEWAY, "250"),
        ("2001:db8:2::/64", _GATEWAY6, "250"),
    ),
)
_STATIC: Final = Wanted(
    name="eth0",
    network="mgmt",
    from_ipam=False,
    bridge=BRIDGE,
    routes=(("198.51.100.0/25", _NEXT, "main"), ("203.0.113.0/25", _NEXT, "251")),
)
BOTH: Final = (_STATIC, _MAC)
PLAIN: Final = (Wanted(name="eth0", network="", from_ipam=False, bridge=FALLBACK_BRIDGE),)
ALONE: Final = (Wanted(name="eth0", network="alone", families=(4,)),)


async def add_networks(stage: Stage) -> None:
    """Make the DanmNets."""
    networks: dict[str, tuple[str, dict[str, Any]]] = {
        "mac": (
            "macvlan",
            {
                "host_device": PARENT,
                "container_prefix": "mac0",
                "rt_tables": 250,
                "cidr": "10.90.0.0/22",
                "net6": "2001:db8:90::/64",
                "allocation_pool6": {"start": "2001:db8:90::10", "end": "2001:db8:90::ffff"},
                "routes": {"198.51.100.0/24": _GATEWAY},
                "routes6": {"2001:db8:1::/64": _GATEWAY6},
            },
        ),
        "alone": ("macvlan", {"host_device": PARENT, "cidr": "10.92.0.0/22"}),
        "mgmt": ("flannel", {"rt_tables": 251, "routes": {"198.51.100.0/25": _NEXT}}),
    }
    for name, (network_type, options) in networks.items():
        spec = {"NetworkID": name, "NetworkType": network_type, "Options": options}
        await stage.cluster.create(DANMNETS, {"metadata": {"name": name}, "spec": spec})
        await accept_network(stage.cluster.api, name, spec, namespace=NAMESPACE)


ENTRIES: Final[dict[str, dict[str, Any]]] = {
    "mac": {
        "network": "mac",
        "ip": "dynamic",
        "ip6": "dynamic",
        "proutes": {"203.0.113.0/24": _GATEWAY},
        "proutes6": {"2001:db8:2::/64": _GATEWAY6},
    },
    "alone": {"network": "alone", "ip": "dynamic"},
    "mgmt": {"network": "mgmt", "ip": "dynamic", "proutes": {"203.0.113.0/25": _NEXT}},
}
