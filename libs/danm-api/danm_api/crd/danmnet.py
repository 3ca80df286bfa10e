"""The definition of DanmNet (SPEC A1, A3, A4, A7). Pure.

Types and the bounds of numbers are checked here, so that ``kubectl apply`` refuses them at once.
What needs thought about several fields is left to the validator, whose verdict is a condition and
an Event (SPEC N1): so texts have no patterns. Options are nullable: the old program took keys
without a value.
"""

from typing import Final

from danm_api.crd.definition import AGE, Column, Definition
from danm_api.crd.schema import (
    Schema,
    flag,
    group,
    list_of,
    map_of_texts,
    moment,
    number,
    text,
)
from danm_api.model.limits import (
    MAX_COOLDOWN_S,
    MAX_MTU,
    MAX_VID,
    MAX_VNI,
    MIN_MTU,
    MIN_VID,
    MIN_VNI,
)

# A Kubernetes name (DNS-1123 subdomain).
_MAX_NAME_LENGTH: Final = 253


def _pool(description: str) -> Schema:
    return group(
        description,
        {
            "start": text("The first address, inclusive.", nullable=True),
            "end": text("The last address, inclusive.", nullable=True),
        },
        nullable=True,
    )


_OPTIONS: Final[dict[str, Schema]] = {
    "host_device": text(
        "Name of the nodes' network device that Pods hang on, directly or through the VLAN or "
        "VXLAN link.",
        nullable=True,
    ),
    "cidr": text(
        "IPv4 subnet of the network, such as 10.100.20.0/24. Without it the network is a plain L2 "
        "network.",
        nullable=True,
    ),
    "allocation_pool": _pool(
        "IPv4 addresses that are handed out dynamically. Every usable address of cidr if left out."
    ),
    "net6": text("IPv6 subnet of the network, such as 2001:db8:20::/64.", nullable=True),
    "allocation_pool6": _pool(
        "IPv6 addresses that are handed out dynamically. EUI-64 addresses of net6, which must then "
        "be a /64, if left out."
    ),
    "exclude": list_of(
        {"type": "string"},
        "Addresses and subnets that are never handed out dynamically.",
        nullable=True,
    ),
    "container_prefix": text(
        "Name of the interface in the Pod, at most 15 bytes. eth0, eth1 and so on, by the place in "
        "the Pod's annotation, if left out.",
        nullable=True,
    ),
    "rt_tables": number(
        "Number of the routing table in the Pod that takes the Pod's own policy routes (proutes, "
        "proutes6).",
        nullable=True,
    ),
    "routes": map_of_texts(
        "IPv4 routes of every Pod on the network: destination subnet to gateway address.",
        nullable=True,
    ),
    "routes6": map_of_texts(
        "IPv6 routes of every Pod on the network: destination subnet to gateway address.",
        nullable=True,
    ),
    "vxlan": number(
        "VNI. Every node gets the link vx_<NetworkID> on host_device, and Pods hang on that.",
        minimum=MIN_VNI,
        maximum=MAX_VNI,
        nullable=True,
    ),
    "vlan": number(
        "VID. Every node gets the link <NetworkID>.<vlan> on host_device, and Pods hang on that.",
        minimum=MIN_VID,
        maximum=MAX_VID,
        nullable=True,
    ),
    "mtu": number(
        "MTU of the Pods' interfaces in bytes. The parent link's if left out.",
        minimum=MIN_MTU,
        maximum=MAX_MTU,
        nullable=True,
    ),
    "cooldown": number(
        "Seconds before a freed address may be handed out again. 0 if left out.",
        minimum=0,
        maximum=MAX_COOLDOWN_S,
        nullable=True,
    ),
    "dpdk": flag(
        "Bind the virtual function of an sriov network to a user-space driver.", nullable=True
    ),
    "device_pool": text(
        "Resource of a device plugin, such as example.com/sriov_a. A Pod's interface on an sriov "
        "network is a device that its containers request of it.",
        max_length=_MAX_NAME_LENGTH,
        nullable=True,
    ),
    "fakeipam": flag(
        "Let other CNI plugins ask for addresses of this network through fakeipam.", nullable=True
    ),
}

# kubectl refuses keys that a schema does not know, and exported manifests hold this one.
_DEPRECATED_OPTIONS: Final[dict[str, Schema]] = {
    "alloc": text("Deprecated and ignored: the record of an older release.", nullable=True)
}

_SPEC: Final[dict[str, Schema]] = {
    "NetworkID": text(
        "Identity of the network: equal to metadata.name. Names the nodes' VLAN or VXLAN link.",
        min_length=1,
        max_length=_MAX_NAME_LENGTH,
    ),
    "NetworkType": text(
        "What connects Pods: ipvlan, macvlan or sriov, in any case, with the options below; or the "
        "name of a CNI configuration file of the nodes, without directory and extension, such as "
        "flannel.",
        default="ipvlan",
        max_length=_MAX_NAME_LENGTH,
    ),
}

_CONDITION: Final = group(
    "One aspect of the network's state.",
    {
        "type": text("Valid, Applied or InUse."),
        "status": text("Whether it is so.", one_of=("True", "False", "Unknown")),
        "reason": text("The cause in one word."),
        "message": text("What is so, and what to do."),
        "observedGeneration": number("The metadata.generation that this is about."),
        "lastTransitionTime": moment("When the status changed last."),
    },
    required=("type", "status"),
)


def _usage(description: str, count: Schema) -> Schema:
    def counted(what: str) -> Schema:
        return {**count, "description": what}

    return group(
        description,
        {
            "total": counted("Addresses that can be handed out dynamically."),
            "used": counted(
                "Addresses that somebody holds, static ones outside the pool included."
            ),
            "free": counted("Addresses of the pool that nobody holds."),
            "ranges": text("The used addresses: at most 100 ranges, then how many more."),
        },
    )


DANMNET: Final = Definition(
    kind="DanmNet",
    plural="danmnets",
    singular="danmnet",
    short_names=("dn", "dnet"),
    has_status=True,
    schema=group(
        "A network that Pods of the namespace can be attached to, by naming it in the annotation "
        "danm.k8s.io/interfaces.",
        {
            "spec": group(
                "What the network is. Written by users.",
                {
                    **_SPEC,
                    "Validation": text(
                        "Whether the network is valid. Written by DANM's validator: what users "
                        "write here counts for nothing.",
                        one_of=("True", "False", ""),
                    ),
                    "Options": group(
                        "How Pods are connected and addressed.",
                        {**_OPTIONS, **_DEPRECATED_OPTIONS},
                        nullable=True,
                    ),
                },
                required=("NetworkID",),
            ),
            "status": group(
                "What DANM found out. Written by its services.",
                {
                    "observedGeneration": number("The metadata.generation that was judged last."),
                    "conditions": list_of(
                        _CONDITION,
                        "Whether the network is valid, which change waits, who uses it.",
                        map_keys=("type",),
                    ),
                    "applied": group(
                        "The spec in force: reservations and interfaces follow it.",
                        {
                            **_SPEC,
                            "Options": group("The options in force.", _OPTIONS, nullable=True),
                        },
                        required=("NetworkID",),
                    ),
                    "ipv4": _usage("How full the IPv4 subnet is.", number("")),
                    "ipv6": _usage(
                        "How full the IPv6 subnet is. Counts are texts: they may exceed 64 bits.",
                        text(""),
                    ),
                    "nodes": group(
                        "On how many nodes it can be used. Each node's DanmNode says more.",
                        {
                            "ready": number("Nodes on which Pods can be attached to it."),
                            "total": number("Nodes that netwatcher runs on."),
                            "summary": text("Both, such as 2/3."),
                            "why": text("What is missing on the others, of three at most."),
                        },
                    ),
                },
            ),
        },
        required=("spec",),
    ),
    columns=(
        Column(name="Type", path=".spec.NetworkType", description="What connects Pods"),
        Column(name="Device", path=".spec.Options.host_device", description="The nodes' device"),
        # Of several keys the first that is there is shown: IPv6 where a network has nothing else.
        Column(
            name="CIDR",
            path=".spec.Options['cidr','net6']",
            description="The IPv4 subnet, or the only one",
        ),
        Column(
            name="Valid",
            path='.status.conditions[?(@.type=="Valid")].status',
            description="Whether the network can be used",
        ),
        Column(
            name="Ready Nodes",
            path=".status.nodes.summary",
            description="On how many nodes it can be used",
        ),
        Column(
            name="Used",
            path=".status['ipv4','ipv6'].used",
            description="Addresses of that subnet that somebody holds",
        ),
        Column(
            name="Free",
            path=".status['ipv4','ipv6'].free",
            description="Addresses of its pool that nobody holds",
        ),
        AGE,
        Column(name="VLAN", path=".spec.Options.vlan", kind="integer", wide=True),
        Column(name="VXLAN", path=".spec.Options.vxlan", kind="integer", wide=True),
        Column(name="Net6", path=".spec.Options.net6", wide=True),
        Column(name="Used6", path=".status.ipv6.used", wide=True),
        Column(name="Free6", path=".status.ipv6.free", wide=True),
        Column(name="Why", path='.status.conditions[?(@.type=="Valid")].message', wide=True),
    ),
)
