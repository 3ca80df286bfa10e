"""What a runtime asks for by capabilities: what DANM's own backends do of it, and what nobody did.

Pure. A plugin acts on the capabilities that its configuration declares, or returns an error (CNI,
CONVENTIONS.md). DANM's configuration declares for others too: for every static type of the node and
for the fallback. What is not meant for them is judged here:

- What would give CNI_IFNAME another identity is done or refused (SPEC C7).
- What the Pod can do without, such as host ports, is told to the Pod's owner when nobody has done
  it: Pods with host ports have always run on DANM's networks.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_interface
from typing import Any, Final

import msgspec

from danm_api.errors import DanmError, SeveralErrors
from danm_api.model.attachment import StaticIPv4, StaticIPv6
from danm_api.model.danmnet import BuiltInType, StaticDelegate
from danm_api.names import InterfaceName
from danm_cni.cni_errors import CniCode, CniRequestError
from danm_cni.interface_setup import LinkFacts
from danm_cni.plan import PlannedAttachment
from danm_cni.request import PodIdentity

_MAC: Final = "mac"
_IPS: Final = "ips"
# They are of one interface: CNI_IFNAME, which names the attachment together with the container.
_IDENTITY: Final = frozenset({_MAC, _IPS, "ipRanges", "deviceID", "infinibandGUID"})
# Of these DANM's own backends do what they can, so its configuration declares them.
OWN_CAPABILITIES: Final[Mapping[str, bool]] = {_MAC: True}
# Runtimes give these of every Pod, and the Pod has them without a plugin.
_UNASKED: Final = frozenset({"dns", "cgroupPath"})

_MAC_FORM: Final = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", re.ASCII)
# SPEC G6: DANM gives the MACs that begin so, each to one interface of a network.
_DANMS_MACS: Final = "fa:16:3e:"
_NO_MAC: Final = "00:00:00:00:00:00"
_GROUP_BIT: Final = 1
# Of an Event's 1024 bytes; the rest is for the sentence.
_MAX_VALUE_LENGTH: Final = 300


def for_interface(runtime_config: Mapping[str, Any], *, is_asked: bool) -> Mapping[str, Any]:
    """Return what the plugins of one interface may get.

    Args:
        runtime_config: Of the ADD.
        is_asked: It is CNI_IFNAME.
    """
    return {key: value for key, value in runtime_config.items() if is_asked or key not in _IDENTITY}


def with_identity(
    pod: PodIdentity,
    planned: Sequence[PlannedAttachment],
    runtime_config: Mapping[str, Any],
    *,
    asked: InterfaceName,
    parents: Mapping[str, LinkFacts],
) -> tuple[PlannedAttachment, ...]:
    """Give CNI_IFNAME the identity that the runtime asks for, where it is not a static type's.

    Args:
        pod: Names the Pod in errors.
        planned: All attachments.
        runtime_config: Of the ADD.
        asked: CNI_IFNAME.
        parents: Links of the host by name.

    Raises:
        SeveralErrors: What DANM cannot give it, all of it.
    """
    errors: list[DanmError] = []
    result = []
    for each in planned:
        changed = each
        if each.interface == asked and not isinstance(each.spec.network_type, StaticDelegate):
            parent = parents.get(each.parent)
            errors.extend(_errors_of(pod, each, runtime_config, parent))
            if runtime_config.get(_MAC) and each.spec.network_type is not BuiltInType.IPVLAN:
                changed = replace(each, mac=str(runtime_config[_MAC]).lower())
        result.append(changed)
    if errors:
        raise SeveralErrors(errors)
    return tuple(result)


def _errors_of(
    pod: PodIdentity,
    planned: PlannedAttachment,
    runtime_config: Mapping[str, Any],
    parent: LinkFacts | None,
) -> Iterator[DanmError]:
    for key in sorted(_IDENTITY & runtime_config.keys()):
        value = runtime_config[key]
        if not value:
            continue
        match key:
            case "mac":
                fault = _fault_of_mac(value, planned, parent)
            case "ips":
                fault = _fault_of_ips(value, planned)
            case _:
                fault = "DANM's own interfaces have no such thing; leave it out"
        if fault:
            # CNI specification, "Error": code 2 names the key and the value.
            yield CniRequestError(
                f"{pod}, interface {planned.interface}: the runtime asks for {key} "
                f"{_shown(value)} (runtimeConfig), and {fault}",
                code=CniCode.UNSUPPORTED_FIELD,
            )


def _fault_of_mac(value: object, planned: PlannedAttachment, parent: LinkFacts | None) -> str:
    mac = value.lower() if isinstance(value, str) else ""
    if not _MAC_FORM.fullmatch(mac) or mac == _NO_MAC or int(mac[:2], 16) & _GROUP_BIT:
        return "that is not the MAC address of one interface, such as 02:00:00:00:00:07"
    if planned.spec.network_type is BuiltInType.IPVLAN:
        if parent is not None and parent.mac == mac:
            return ""
        return (
            f"IPVLAN interfaces have the MAC of their link {planned.parent}; leave it out, or use "
            "the NetworkType macvlan"
        )
    if mac.startswith(_DANMS_MACS):
        return (
            f"{_DANMS_MACS}* are given by DANM itself, each once on a network; ask for another one"
        )
    return ""


def _fault_of_ips(value: object, planned: PlannedAttachment) -> str:
    """Only the annotation may ask for addresses: ipam-svc gives a node nothing else."""
    attachment = planned.attachment
    known = {
        each.interface
        for each in (attachment.ip, attachment.ip6)
        if isinstance(each, StaticIPv4 | StaticIPv6)
    }
    addresses: set[IPv4Address | IPv6Address] = {each.ip for each in known}
    try:
        texts = [str(each) for each in value] if isinstance(value, list) else []
        asked = [(ip_interface(text), "/" in text) for text in texts]
    except ValueError:
        return "that is no list of addresses"
    if asked and all(
        address in known if has_prefix else address.ip in addresses for address, has_prefix in asked
    ):
        return ""
    return (
        "a Pod asks for addresses of a DanmNet in its annotation; write them there, as "
        f'"ip" or "ip6" of entry {attachment.index}'
    )


def unserved(
    runtime_config: Mapping[str, Any],
    *,
    given: Collection[str],
    given_asked: Collection[str],
    is_own: bool,
) -> Mapping[str, Any]:
    """Return what the runtime asked for and nobody has done.

    Args:
        runtime_config: Of the ADD.
        given: Keys that plugins of any interface were called with.
        given_asked: Keys that those of CNI_IFNAME were called with.
        is_own: CNI_IFNAME is an interface of DANM's own, of which the identity was judged.
    """
    return {
        key: value
        for key, value in sorted(runtime_config.items())
        if _is_asked(key, value)
        and not (is_own or key in given_asked if key in _IDENTITY else key in given)
    }


def _is_asked(key: str, value: object) -> bool:
    """Say whether it is the Pod's owner who wants something.

    Runtimes give their own of every Pod, too, under keys with their names
    (``io.kubernetes.cri.pod-annotations``), and ports that are no host's.
    """
    if key in _UNASKED or "." in key or not value:
        return False
    if key == "portMappings" and isinstance(value, list):
        return any(isinstance(each, dict) and each.get("hostPort") for each in value)
    return True


def unserved_message(
    pod: PodIdentity, missing: Mapping[str, Any], networks: Collection[str]
) -> str:
    """Return what the Pod's owner is told.

    Args:
        pod: The Pod.
        missing: As ``unserved`` returns it.
        networks: Its DanmNets.
    """
    wishes = ", ".join(f"{key} {_shown(value)}" for key, value in missing.items())
    return (
        f"{pod} runs without {wishes}: no plugin of its networks ({', '.join(sorted(networks))}) "
        "declares that it does this, and DANM's own interfaces have only addresses, routes and a "
        "MAC. Leave it out, or attach the Pod to a static NetworkType whose configuration has "
        "such a plugin (portmap for host ports, bandwidth for rates)"
    )


def _shown(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _MAX_VALUE_LENGTH else f"{text[:_MAX_VALUE_LENGTH]}..."
