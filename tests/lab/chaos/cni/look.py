"""Prints what a node has, as JSON: links, routes and rules, danmd's journal, files of plugins.

It needs the standard library and iproute2 alone, and runs in a node of the lab as well as here.
The arguments are the node's name, danmd's state directory, host-local's directory, and the names of
namespaces to look into; without any, all of /var/run/netns, and with ``-`` none.
"""

import ipaddress
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_NAMESPACES: Final = Path("/var/run/netns")
_FAMILIES: Final = {"-4": "0.0.0.0/0", "-6": "::/0"}
_KERNELS_OWN: Final = {("all", "local"), ("all", "main"), ("all", "default")}
# Addresses of these tell whose they are; the others are the directory's own.
_HOST_LOCAL_EXTRAS: Final = ("last_reserved_ip", "lock")


def look(node: str, state: Path, host_local: Path, names: list[str]) -> dict[str, Any]:
    """Return what a node has."""
    if names == ["-"]:
        names = []
    elif not names and _NAMESPACES.is_dir():
        names = [path.name for path in _NAMESPACES.iterdir()]
    namespaces = {}
    for name in names:
        # A namespace may go while it is looked for.
        with suppress(subprocess.CalledProcessError):
            namespaces[f"/var/run/netns/{name}"] = netns(["-n", name])
    return {
        "node": node,
        "host": netns([]),
        "namespaces": namespaces,
        "journal": {path.name: _record(path) for path in _files(state / "journal")},
        "tombstones": [path.name for path in _files(state / "tombstones")],
        "host_local": {
            str(path.relative_to(host_local)): path.read_text()
            for path in (host_local.rglob("*") if host_local.is_dir() else ())
            if path.is_file() and not path.name.startswith(_HOST_LOCAL_EXTRAS)
        },
        "plugins": _plugins(),
    }


def netns(where: list[str]) -> dict[str, Any]:
    """Return what a network namespace has, by iproute2's words."""
    (links,) = _ip([*where, "-d"], "addr show")
    routes, rules = [], []
    for family, anywhere in _FAMILIES.items():
        found = _ip([*where, family], "route show table all", "rule show")
        routes += [
            {
                "destination": _network(route["dst"], anywhere),
                "gateway": route["gateway"],
                "device": route["dev"],
                "table": str(route.get("table", "main")),
            }
            for route in found[0]
            if "gateway" in route
        ]
        rules += [
            {"source": rule["src"], "table": str(rule["table"])}
            for rule in found[1]
            if (rule["src"], str(rule["table"])) not in _KERNELS_OWN
        ]
    return {"links": [_link(link) for link in links], "routes": routes, "rules": rules}


def _link(link: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": link["ifname"],
        "kind": link.get("linkinfo", {}).get("info_kind", ""),
        "up": "UP" in link["flags"],
        "bridge": link.get("master", ""),
        "addresses": [
            f"{each['local']}/{each['prefixlen']}"
            for each in link["addr_info"]
            if "local" in each and not ipaddress.ip_address(each["local"]).is_link_local
        ],
    }


def _network(text: str, anywhere: str) -> str:
    return anywhere if text == "default" else str(ipaddress.ip_network(text))


def _ip(options: list[str], *commands: str) -> list[Any]:
    """Run commands of iproute2 and return what each printed."""
    done = subprocess.run(
        ["ip", *options, "-j", "-batch", "-"],
        input="\n".join(commands) + "\n",
        check=True,
        capture_output=True,
        text=True,
    )
    decoder, found, text = json.JSONDecoder(), [], done.stdout.strip()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].strip()
    return found


def _files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _record(path: Path) -> Any:  # noqa: ANN401  (JSON)
    try:
        return json.loads(path.read_text())
    except (ValueError, FileNotFoundError):
        return None


def _plugins() -> list[str]:
    """Return the container ids of plugins that a danmd of this node has started."""
    found = []
    own = Path("/proc/self/ns/net").stat().st_ino
    for directory in Path("/proc").iterdir():
        # A process may end, or be another's, while it is looked at.
        with suppress(OSError, ValueError):
            if not directory.name.isdecimal() or (directory / "ns/net").stat().st_ino != own:
                continue
            for entry in (directory / "environ").read_bytes().split(b"\0"):
                name, _, value = entry.partition(b"=")
                if name == b"DANM_SANDBOX":
                    found.append(value.decode())
    return found


def main() -> None:
    """Look, and print."""
    node, state, host_local, *names = sys.argv[1:]
    json.dump(look(node, Path(state), Path(host_local), names), sys.stdout)


if __name__ == "__main__":
    main()
