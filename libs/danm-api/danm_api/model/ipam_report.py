"""What an examination of the record of addresses has found. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class FindingKind(StrEnum):
    """What does not fit together."""

    ADDRESS_WITHOUT_POD = "AddressWithoutPod"
    ADDRESS_WITHOUT_ENDPOINT = "AddressWithoutDanmEp"
    POD_WITHOUT_ADDRESS = "PodWithoutAddress"
    ENDPOINT_WITHOUT_POD = "DanmEpWithoutPod"
    ENDPOINT_WITHOUT_ADDRESS = "DanmEpWithoutAddress"
    # One owner has two addresses of a family on one network.
    TWO_ADDRESSES = "TwoAddresses"
    # One address has two owners on one wire.
    TWO_OWNERS = "TwoOwners"
    OWNER_EXPIRED = "OwnerExpired"
    BLOCK_WITHOUT_NETWORK = "BlockWithoutDanmNet"
    UNREADABLE = "Unreadable"


class Outcome(StrEnum):
    """What became of a finding."""

    # Freeing it may harm a live Pod, or there is nothing to free: ``remedy`` says who acts.
    LEFT = "Left"
    # It is dead for sure, and a repair was not asked for.
    REPAIRABLE = "Repairable"
    REPAIRED = "Repaired"
    # The repair failed, or somebody was quicker: look again.
    NOT_REPAIRED = "NotRepaired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that does not fit. Texts are empty where they do not apply.

    Attributes:
        namespace: Of the network, the object or the Pod.
        network: The DanmNet's name.
        subject: The object or the owner, such as ``Pod ns/a (interface eth0)``.
        address: Without prefix length.
        node: Where the owner runs or ran.
        attempt: Of the entry; 0 where there is none.
        problem: What does not fit, as a sentence.
        remedy: Who ends it, and how to help.
    """

    kind: FindingKind
    namespace: str
    network: str = ""
    subject: str = ""
    address: str = ""
    node: str = ""
    attempt: int = 0
    problem: str
    remedy: str
    outcome: Outcome = Outcome.LEFT


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """How much was looked at."""

    networks: int
    blocks: int
    addresses: int
    endpoints: int
    pods: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IpamReport:
    """An examination: two looks, and what both have seen.

    Attributes:
        began: Of the first look.
        ended: Of the second one.
        findings: Those of the second look that the first one had too.
    """

    began: datetime
    ended: datetime
    examined: Examined
    findings: tuple[Finding, ...] = ()
