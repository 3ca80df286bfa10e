"""The definition of DanmIPBlock (DESIGN, "IPAM"). Pure.

Keys that this release does not know are kept, so that two releases can share a block.
"""

from typing import Final

from danm_api import labels
from danm_api.crd.definition import AGE, Column, Definition
from danm_api.crd.schema import flag, group, list_of, number, text

# A /26 or a /122.
_MAX_ENTRIES: Final = 64


def _label_path(key: str) -> str:
    escaped = key.replace(".", "\\.")
    return f".metadata.labels['{escaped}']"


# What the keys of an entry mean; no schema can say it, since an entry is a text (decision 0013).
ENTRY_KEYS: Final = {
    "ip": "the address",
    "kind": "kind of the owner: Pod if left out, Container or External",
    "ns": "namespace of the owner: the block's if left out",
    "name": "name of the owner, or the container's id",
    "uid": "UID of the Pod",
    "if": "name of the interface",
    "node": "the node whose danmd alone may free the address",
    "attempt": "number of the attempt that holds the address",
    "born": "number of the attempt that took it, where a later one keeps it",
    "pending": "number of the attempt that took it beside another one, until all is taken",
    "since": "when the address was taken",
    "mac": "MAC address, where it does not follow from the address",
    "reason": "why an external owner holds the address",
    "expires": "when an external owner's address comes back",
    "freeAt": "of an address without owner: from when on it is free",
}
_ENTRY: Final = text(
    "An address that somebody holds, or that cools down, as a JSON text. Its keys: "
    + "; ".join(f"{key}: {meaning}" for key, meaning in ENTRY_KEYS.items())
    + "."
)

DANMIPBLOCK: Final = Definition(
    kind="DanmIPBlock",
    plural="danmipblocks",
    singular="danmipblock",
    short_names=("dib",),
    schema=group(
        "The record of who holds which of 64 consecutive addresses of a DanmNet. Written by "
        "ipam-svc only: editing it by hand can give one address to two owners.",
        {
            "spec": group(
                "The record.",
                {
                    "network": text("The DanmNet, in the same namespace."),
                    "networkUID": text("The DanmNet's UID."),
                    "cidr": text("The block's addresses."),
                    "sealed": flag("No address is taken any more: the DanmNet is being deleted."),
                    "fence": number("Raised to make late writes of a replica lose."),
                    "entries": list_of(
                        _ENTRY,
                        "What is not free, in the order of addresses; each is a JSON text.",
                        max_items=_MAX_ENTRIES,
                    ),
                },
                required=("network", "networkUID", "cidr"),
                keep_unknown=True,
            ),
        },
        required=("spec",),
    ),
    columns=(
        Column(name="Network", path=".spec.network", description="The DanmNet"),
        Column(name="CIDR", path=".spec.cidr", description="The block's addresses"),
        Column(name="Free", path=_label_path(labels.FREE), description="How many are free"),
        Column(name="Sealed", path=".spec.sealed", kind="boolean"),
        AGE,
    ),
)
