"""The definition of DanmEp (SPEC A2, A3). Pure."""

from typing import Final

from danm_api.crd.definition import AGE, Column, Definition
from danm_api.crd.schema import group, map_of_texts, text

DANMEP: Final = Definition(
    kind="DanmEp",
    plural="danmeps",
    singular="danmep",
    short_names=("de", "dep"),
    schema=group(
        "One interface of one Pod on one DanmNet. Written by danmd of the Pod's node. Its labels "
        "are the Pod's, and DANM's own.",
        {
            "spec": group(
                "The interface and whom it belongs to.",
                {
                    "NetworkID": text("The DanmNet, in the same namespace.", min_length=1),
                    "NetworkType": text("The DanmNet's NetworkType."),
                    "EndpointID": text("A UUID."),
                    "Interface": group(
                        "The interface in the Pod.",
                        {
                            "Name": text("The interface's name.", min_length=1),
                            "Address": text("IPv4 address with prefix length."),
                            "AddressIPv6": text("IPv6 address with prefix length."),
                            "MacAddress": text("MAC address."),
                            "proutes": map_of_texts(
                                "IPv4 policy routes: destination subnet to gateway address."
                            ),
                            "proutes6": map_of_texts(
                                "IPv6 policy routes: destination subnet to gateway address."
                            ),
                        },
                        required=("Name",),
                    ),
                    "Host": text("The Pod's node."),
                    "Pod": text("The Pod's name."),
                    "CID": text("The id of the Pod's sandbox container."),
                    "netns": text("Path of the Pod's network namespace on its node."),
                    "Creator": text("Who made the interface."),
                    "Expires": text("When the interface is given up; empty for never."),
                },
                required=("NetworkID", "Interface"),
            ),
        },
        required=("spec",),
    ),
    columns=(
        Column(name="Network", path=".spec.NetworkID", description="The DanmNet"),
        Column(name="Pod", path=".spec.Pod"),
        Column(name="Interface", path=".spec.Interface.Name", description="Its name in the Pod"),
        Column(name="Address", path=".spec.Interface.Address"),
        Column(name="AddressIPv6", path=".spec.Interface.AddressIPv6"),
        Column(name="Node", path=".spec.Host"),
        AGE,
        Column(name="Type", path=".spec.NetworkType", wide=True),
        Column(name="MAC", path=".spec.Interface.MacAddress", wide=True),
        Column(name="Container", path=".spec.CID", wide=True),
    ),
)
