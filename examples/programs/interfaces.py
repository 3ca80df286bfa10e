"""Print this Pod's interfaces as JSON: what the kernel says, without any tool installed.

One object for each interface: name, kind ("ipvlan", "veth", ...), index, parent_index (of the link
that it hangs on, in the node's network namespace), mac, mtu and addresses.
"""

import json
import socket
import struct
from collections.abc import Iterator

# Linux, include/uapi/linux/{netlink,rtnetlink,if_link,if_addr}.h.
_RTM_GETLINK, _RTM_NEWLINK, _RTM_GETADDR, _RTM_NEWADDR = 18, 16, 22, 20
_NLM_F_REQUEST, _NLM_F_DUMP = 1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_LINKINFO = 1, 3, 4, 5, 18
_IFLA_INFO_KIND = 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
# The upper two bits of an attribute's type are flags.
_TYPE_MASK = 0x3FFF


def attributes(data: bytes) -> dict[int, bytes]:
    """Return the attributes of a message by type."""
    found = {}
    while len(data) >= 4:  # noqa: PLR2004  (length and type)
        length, kind = struct.unpack_from("=HH", data)
        found[kind & _TYPE_MASK] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def dump(request: int, family: int) -> Iterator[tuple[int, bytes]]:
    """Yield type and payload of each message of a dump.

    Raises:
        OSError: The kernel refused it.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        body = struct.pack("=B15x", family)
        head = struct.pack("=IHHII", 32, request, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0)
        kernel.send(head + body)
        while True:
            data = kernel.recv(1 << 17)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    (number,) = struct.unpack_from("=i", data, 16)
                    raise OSError(-number, "rtnetlink")
                yield kind, data[16:length]
                data = data[(length + 3) & ~3 :]


def interfaces() -> list[dict[str, object]]:
    """Return all interfaces in the order of their indices."""
    found: dict[int, dict[str, object]] = {}
    for kind, payload in dump(_RTM_GETLINK, socket.AF_UNSPEC):
        if kind != _RTM_NEWLINK:
            continue
        (index,) = struct.unpack_from("=i", payload, 4)
        fields = attributes(payload[16:])
        info = attributes(fields.get(_IFLA_LINKINFO, b""))
        parent = fields.get(_IFLA_LINK)
        found[index] = {
            "name": fields[_IFLA_IFNAME].rstrip(b"\0").decode(),
            "kind": info.get(_IFLA_INFO_KIND, b"").rstrip(b"\0").decode(),
            "index": index,
            "parent_index": struct.unpack("=I", parent)[0] if parent else 0,
            "mac": fields.get(_IFLA_ADDRESS, b"").hex(":"),
            "mtu": struct.unpack("=I", fields[_IFLA_MTU])[0],
            "addresses": [],
        }
    for kind, payload in dump(_RTM_GETADDR, socket.AF_UNSPEC):
        if kind != _RTM_NEWADDR:
            continue
        family, prefix_length, _, _, index = struct.unpack_from("=BBBBI", payload)
        fields = attributes(payload[8:])
        raw = fields.get(_IFA_LOCAL) or fields[_IFA_ADDRESS]
        addresses = found[index]["addresses"]
        if isinstance(addresses, list):
            addresses.append(f"{socket.inet_ntop(family, raw)}/{prefix_length}")
    return [found[index] for index in sorted(found)]


if __name__ == "__main__":
    print(json.dumps(interfaces()))
