"""The rules of one DanmNet as the API server itself can judge them (SPEC N1). Pure.

So ``kubectl apply`` refuses most mistakes at once. What CEL cannot say, and what lies between
DanmNets, is the validator's alone, whose verdict decides in any case. So the policy is never
stricter than ``danm_api.validation``, lets pass what it cannot judge (``failurePolicy: Ignore``),
and looks only at what users write: a DanmNet that was there before can be labelled, judged and
deleted whatever it says. ``danm_api.testing.network_cases`` has the table that both are tried with.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from danm_api.crd import cel
from danm_api.model.danmnet import BuiltInType
from danm_api.model.limits import MAX_ROUTING_TABLE, RESERVED_ROUTING_TABLES
from danm_api.names import GROUP, MAX_INTERFACE_NAME_BYTES
from danm_api.validation.hostless import HOSTLESS, MAPPED
from danm_api.validation.network import (
    MIN_MTU_IPV6,
    OWN_PLUGIN,
    PLAIN_FILE_NAME,
    RESOURCE_NAME,
    TAKEN_IN_PODS,
)

NAME: Final = "danm-networks"
FILE_NAME: Final = "networks.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """What must hold.

    Attributes:
        field: The field at fault.
        holds: In CEL.
        message: What is wrong, and the way out.
        rule: In SPEC.
    """

    field: str
    holds: str
    message: str
    rule: str = "N1"

    def validation(self) -> dict[str, str]:
        """Return the entry of a policy."""
        message = f"{self.field}: {self.message} (SPEC {self.rule})"
        return {"expression": self.holds, "message": message}


_EXCLUSION: Final = "(isIP(each) || (isCIDR(each) && cidr(each).masked() == cidr(each)))"
_TEXTS: Final = ("host_device", "cidr", "net6", "container_prefix", "device_pool")
_NUMBERS: Final = ("vlan", "vxlan")
_BUILT_IN: Final = cel.literals(BuiltInType)

# Of IPv4 subnets by prefix length, as far as they have a broadcast address; CEL has no powers.
_SIZES: Final = [2 ** (32 - length) for length in range(31)]

_VARIABLES: Final[dict[str, str]] = {
    "options": (
        "has(object.spec.Options) && object.spec.Options != null ? object.spec.Options : {}"
    ),
    "type": (
        "has(object.spec.NetworkType) && object.spec.NetworkType != ''"
        f" ? object.spec.NetworkType : {cel.literal(BuiltInType.IPVLAN)}"
    ),
    "builtIn": f"variables.type.lowerAscii() in {_BUILT_IN}",
    "sriov": f"variables.type.lowerAscii() == {cel.literal(BuiltInType.SRIOV)}",
    **{name: cel.option(name, "''") for name in _TEXTS},
    **{name: cel.option(name, "0") for name in _NUMBERS},
    # How many addresses the IPv4 subnet has, if there are any that no host can have.
    "addresses": (
        f"{cel.is_cidr('variables.cidr', 4)} && cidr(variables.cidr).prefixLength() < {len(_SIZES)}"
        f" ? {_SIZES}[cidr(variables.cidr).prefixLength()] : 0"
    ),
    "exclude": cel.option("exclude", "[]"),
    "routes": cel.option("routes", "{}"),
    "routes6": cel.option("routes6", "{}"),
    "pool": cel.option("allocation_pool", "{}"),
    "start": cel.pool_end("pool", "start"),
    "end": cel.pool_end("pool", "end"),
    "pool6": cel.option("allocation_pool6", "{}"),
    "start6": cel.pool_end("pool6", "start"),
    "end6": cel.pool_end("pool6", "end"),
}


def _interface_name(field: str, variable: str, rule: str) -> list[_Rule]:
    name = f"variables.{variable}"
    return [
        _Rule(
            field=field,
            holds=f"size(bytes({name})) <= {MAX_INTERFACE_NAME_BYTES}",
            message=f"Linux allows {MAX_INTERFACE_NAME_BYTES} bytes; choose a shorter name",
            rule=rule,
        ),
        _Rule(
            field=field,
            holds=rf"!{name}.matches('[/:%\\s]') && !({name} in ['.', '..'])",
            message='no name of an interface; use letters a to z, digits, ".", "_" and "-"',
            rule=rule,
        ),
    ]


def _subnet(option: str, family: int, example: str) -> Iterator[_Rule]:
    text = f"variables.{option}"
    yield _Rule(
        field=f"spec.Options.{option}",
        holds=f"{text} == '' || {cel.may_be(cel.is_cidr(text, family), text)}",
        message=f"not an IPv{family} subnet; write one such as {example}",
    )
    # CEL reads no IPv4 in IPv6: that has a rule of its own.
    others = [each for each in HOSTLESS if each.version == family and each != MAPPED]
    yield _Rule(
        field=f"spec.Options.{option}",
        holds=(
            f"!{cel.is_cidr(text, family)} || {cel.literals(map(str, others))}.all(each,"
            f" !cidr(each).containsCIDR({text}) && !cidr({text}).containsCIDR(each))"
        ),
        message=(
            f"has addresses of {' or '.join(map(str, others))}, which no Pod can have;"
            " choose another"
        ),
    )


def _pool(option: str, subnet: str, family: int, ends: tuple[str, str]) -> list[_Rule]:
    field = f"spec.Options.{option}"
    rules = []
    for end in ends:
        text = f"variables.{end}"
        rules += [
            _Rule(
                field=field,
                holds=f"{text} == '' || {cel.may_be(cel.is_ip(text, family), text)}",
                message=f"an end is not an IPv{family} address; write it without prefix length",
            ),
            _Rule(
                field=field,
                holds=(
                    f"!{cel.is_ip(text, family)} || !{cel.is_cidr(f'variables.{subnet}', family)}"
                    f" || cidr(variables.{subnet}).containsIP({text})"
                ),
                message=f"an end lies outside of {subnet}; choose addresses in it",
            ),
        ]
    both = " && ".join(f"variables.{end} == ''" for end in ends)
    rules.append(
        _Rule(
            field=field,
            holds=f"variables.{subnet} != '' || ({both})",
            message=f"stands without {subnet}; set it to the subnet, or remove the pool",
        )
    )
    return rules


def _routes(option: str, subnet: str, family: int) -> list[_Rule]:
    field, routes = f"spec.Options.{option}", f"variables.{option}"
    via = f"{routes}[to]"
    return [
        _Rule(
            field=field,
            holds=f"{routes}.all(to, {cel.may_be(cel.is_cidr('to', family), 'to')})",
            message=f"a destination is not an IPv{family} subnet with its prefix length",
        ),
        _Rule(
            field=field,
            holds=f"{routes}.all(to, {cel.may_be(cel.is_ip(via, family), via)})",
            message=f"a gateway is not an IPv{family} address; write it without prefix length",
        ),
        _Rule(
            field=field,
            holds=(
                f"!{cel.is_cidr(f'variables.{subnet}', family)} || {routes}.all(to,"
                f" !{cel.is_ip(via, family)} || cidr(variables.{subnet}).containsIP({via}))"
            ),
            message=f"a gateway lies outside of {subnet}; choose one in it",
        ),
        _Rule(
            field=field,
            holds=f"size({routes}) == 0 || variables.{subnet} != '' || !variables.builtIn",
            message=f"stand without {subnet}; set it, or remove the routes",
        ),
    ]


def _hosts(option: str) -> _Rule:
    """Return what holds of IPv4 gateways: both ends of a larger subnet are nobody's."""
    via = f"variables.{option}[to]"
    number = cel.number_of(via)
    return _Rule(
        field=f"spec.Options.{option}",
        holds=(
            f"variables.addresses == 0 || variables.{option}.all(to, !{cel.is_ip(via, 4)}"
            f" || (({number}) % variables.addresses != 0"
            f" && ({number} + 1) % variables.addresses != 0))"
        ),
        message="a gateway is the network's or broadcast address of cidr; choose a host's address",
    )


def _rules() -> list[_Rule]:
    reserved = sorted(RESERVED_ROUTING_TABLES)
    return [
        _Rule(
            field="spec.NetworkID",
            holds="object.spec.NetworkID == object.metadata.name",
            message="not the object's name; write the same in both",
        ),
        _Rule(
            field="spec.NetworkType",
            holds=(
                f"variables.type.matches({cel.literal(f'^{PLAIN_FILE_NAME.pattern}$')})"
                " && !variables.type.contains('..')"
            ),
            message=(
                f"not a plain file name; write {', '.join(BuiltInType)}, or the name of a"
                ' configuration file of the nodes without its directory and without ".conf"'
            ),
        ),
        _Rule(
            field="spec.NetworkType",
            holds=f"variables.type != {cel.literal(OWN_PLUGIN)}",
            message="DANM cannot delegate to itself; name another plugin",
            rule="E2",
        ),
        *_interface_name("spec.Options.host_device", "host_device", "N1"),
        _Rule(
            field="spec.Options.host_device",
            holds=(
                "variables.host_device != '' || (variables.vlan == 0 && variables.vxlan == 0)"
                " || (variables.sriov && variables.device_pool != '')"
            ),
            message="missing, and vlan and vxlan need it; name the device to put their link on",
        ),
        _Rule(
            field="spec.Options.vlan",
            holds="variables.vlan == 0 || variables.vxlan == 0",
            message="vlan and vxlan exclude each other; remove one of them",
        ),
        _Rule(
            field="spec.Options.vxlan",
            holds="variables.vxlan == 0 || !variables.sriov",
            message=(
                "cannot be had with sriov; set vlan instead, or NetworkType to"
                f" {BuiltInType.IPVLAN} or {BuiltInType.MACVLAN}"
            ),
            rule="E1",
        ),
        _Rule(
            field="spec.NetworkID",
            holds=(
                "variables.vlan == 0 || variables.vxlan != 0 || variables.sriov"
                " || size(object.spec.NetworkID) + 1 + size(string(variables.vlan))"
                f" <= {MAX_INTERFACE_NAME_BYTES}"
            ),
            message=(
                "the nodes' link is called <NetworkID>.<vlan>, and Linux allows"
                f" {MAX_INTERFACE_NAME_BYTES} bytes; choose a shorter name"
            ),
        ),
        _Rule(
            field="spec.NetworkID",
            holds=(
                "variables.vxlan == 0 || variables.vlan != 0 || variables.sriov"
                f" || size('vx_' + object.spec.NetworkID) <= {MAX_INTERFACE_NAME_BYTES}"
            ),
            message=(
                "the nodes' link is called vx_<NetworkID>, and Linux allows"
                f" {MAX_INTERFACE_NAME_BYTES} bytes; choose a shorter name"
            ),
        ),
        *_subnet("cidr", 4, "10.0.0.0/24"),
        *_subnet("net6", 6, "2001:db8::/64"),
        _Rule(
            field="spec.Options.net6",
            holds=f"!variables.net6.lowerAscii().matches({cel.literal(cel.MAPPED_TEXT)})",
            message=f"has addresses of {MAPPED}, which no Pod can have; choose another",
        ),
        *_pool("allocation_pool", "cidr", 4, ("start", "end")),
        _Rule(
            field="spec.Options.allocation_pool",
            holds=(
                f"!({cel.is_ip('variables.start', 4)} && {cel.is_ip('variables.end', 4)})"
                f" || {cel.number_of('variables.start')} <= {cel.number_of('variables.end')}"
            ),
            message="start lies after end; exchange them",
        ),
        *_pool("allocation_pool6", "net6", 6, ("start6", "end6")),
        *_routes("routes", "cidr", 4),
        _hosts("routes"),
        *_routes("routes6", "net6", 6),
        _Rule(
            field="spec.Options.exclude",
            holds=f"variables.exclude.all(each, {cel.may_be(_EXCLUSION, 'each')})",
            message=(
                "holds what is neither an address nor a subnet without host bits;"
                " write 10.0.0.7 or 10.0.0.0/28"
            ),
            rule="A7",
        ),
        _Rule(
            field="spec.Options.rt_tables",
            holds=(
                "!has(variables.options.rt_tables) || variables.options.rt_tables == null"
                f" || (!(variables.options.rt_tables in {reserved})"
                " && variables.options.rt_tables >= 0"
                f" && variables.options.rt_tables <= {MAX_ROUTING_TABLE})"
            ),
            message=(
                f"not free for routes of Pods; choose a number from 1 to {MAX_ROUTING_TABLE}, but"
                " none of 253 to 255, which Linux uses"
            ),
        ),
        *_interface_name("spec.Options.container_prefix", "container_prefix", "B4"),
        _Rule(
            field="spec.Options.container_prefix",
            holds=f"!(variables.container_prefix in {cel.literals(TAKEN_IN_PODS)})",
            message="taken in every Pod; choose another name",
            rule="B4",
        ),
        _Rule(
            field="spec.Options.mtu",
            holds=(
                "variables.net6 == '' || !has(variables.options.mtu)"
                " || variables.options.mtu == null"
                f" || variables.options.mtu >= {MIN_MTU_IPV6}"
            ),
            message=f"too small for IPv6; choose at least {MIN_MTU_IPV6}",
            rule="A7",
        ),
        _Rule(
            field="spec.Options.device_pool",
            holds="variables.device_pool == '' || variables.sriov",
            message=f"is of sriov networks; remove it, or set NetworkType to {BuiltInType.SRIOV}",
            rule="E1",
        ),
        _Rule(
            field="spec.Options.device_pool",
            holds=(
                "variables.device_pool == ''"
                f" || variables.device_pool.matches({cel.literal(f'^{RESOURCE_NAME.pattern}$')})"
            ),
            message=(
                "not the name of a device plugin's resource; write it as in the node's"
                " status.allocatable, such as example.com/sriov_a"
            ),
            rule="E1",
        ),
    ]


def policy() -> list[dict[str, Any]]:
    """Return the policy and its binding, to be applied."""
    kind = "ValidatingAdmissionPolicy"
    version = "admissionregistration.k8s.io/v1"
    # What netwatcher's mark, finalizers and labels change is no business of these rules.
    changed = (
        "oldObject == null"
        " || object.spec.NetworkID != oldObject.spec.NetworkID"
        " || object.spec.?NetworkType != oldObject.spec.?NetworkType"
        " || object.spec.?Options != oldObject.spec.?Options"
    )
    return [
        {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": NAME},
            "spec": {
                "failurePolicy": "Ignore",
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": [GROUP],
                            "apiVersions": ["*"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["danmnets"],
                        }
                    ]
                },
                "matchConditions": [{"name": "spec-changed", "expression": changed}],
                "variables": [
                    {"name": name, "expression": expression}
                    for name, expression in _VARIABLES.items()
                ],
                "validations": [rule.validation() for rule in _rules()],
            },
        },
        {
            "apiVersion": version,
            "kind": f"{kind}Binding",
            "metadata": {"name": NAME},
            "spec": {"policyName": NAME, "validationActions": ["Deny"]},
        },
    ]
