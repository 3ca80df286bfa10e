"""A kubectl without a cluster: it answers from a file, does to it what it is told, and may fail.

Run as a program by deploy/uninstall, so with the standard library alone: kubectl_of() names it.
"""

import fcntl
import json
import re
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

# Commands that wait for each other give up after this.
_MEET_S: Final = 60.0
_POLL_S: Final = 0.02

World = dict[str, Any]


def kubectl_of(file: Path, world: World) -> str:
    """Write a world, and return the command of its kubectl.

    Args:
        file: Where it is kept; ``calls`` has all commands afterwards, in order.
        world: ``crds``: their names; ``objects``: lists of objects by kind; ``nodes``: those of
            the cluster; ``pods``: lists of Pods by their label; ``namespaces``: those that are
            still there when they are asked for; ``execs``: by Pod, the status of
            commands in it, and what they say; ``meet``: so many of these run at once or fail;
            ``vanishing``: names of objects that are gone when they are patched; ``fails``:
            commands that begin so fail, so often.
    """
    file.write_text(json.dumps({"calls": [], **world}))
    return shlex.join([sys.executable, "-ISE", __file__, str(file)])


@contextmanager
def _changed(file: Path) -> Iterator[World]:
    """Change the world; commands run beside each other."""
    with file.open("r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        world = json.load(stream)
        try:
            yield world
        finally:
            stream.seek(0)
            stream.truncate()
            json.dump(world, stream)


def main(file: Path, words: list[str]) -> int:
    """Run one command."""
    command = " ".join(words)
    with _changed(file) as world:
        world["calls"].append(command)
        for beginning, times in world.get("fails", {}).items():
            if command.startswith(beginning) and times:
                world["fails"][beginning] -= 1
                print("Unable to connect to the server: net/http: timeout", file=sys.stderr)
                return 1
        match words:
            case ["get", *what]:
                return _get(world, what)
            case ["patch", kind, *names, "-n", namespace, "--type=merge", "-p", _]:
                return _patch(world, kind, namespace, names)
            case ["exec" | "delete" | "wait", *_]:
                pass
            case _:
                raise SystemExit(f"unknown command: {command}")
    return _exec(file, world, words) if words[0] == "exec" else 0


def _get(world: World, words: list[str]) -> int:
    match words:
        case ["crd", name, *options]:
            if name in world["crds"]:
                print(f"customresourcedefinition/{name}")
            elif "--ignore-not-found" not in options:
                print("Error from server (NotFound)", file=sys.stderr)
                return 1
        case ["namespace", name, "--ignore-not-found", "-o", "name"]:
            if name in world.get("namespaces", ()):
                print(f"namespace/{name}")
        case ["pods", "-n", _, "-o", template]:
            pods = [pod for pods in world["pods"].values() for pod in pods]
            sys.stdout.write(_rendered(template, pods))
        case ["pods", "-n", _, "-l", label, "-o", template]:
            pods = world["pods"].get(label.partition("=")[2], [])
            sys.stdout.write(_rendered(template, pods))
        case ["nodes", "-o", template]:
            sys.stdout.write(_rendered(template, world.get("nodes", [])))
        case [kind, "-A", "-o", template]:
            sys.stdout.write(_rendered(template, world["objects"].get(kind, [])))
        case _:
            raise SystemExit(f"unknown command: get {' '.join(words)}")
    return 0


def _exec(file: Path, world: World, words: list[str]) -> int:
    pod = words[3]
    status, said = world.get("execs", {}).get(pod, [0, ""])
    print(said, end="", file=sys.stderr)
    if status:
        return int(status)
    return 0 if _met(file, world.get("meet", 0)) else 1


def _met(file: Path, wanted: int) -> bool:
    deadline_s = time.monotonic() + _MEET_S
    while time.monotonic() < deadline_s:
        with _changed(file) as world:
            if sum(call.startswith("exec") for call in world["calls"]) >= wanted:
                return True
        time.sleep(_POLL_S)
    return False


def _patch(world: World, kind: str, namespace: str, names: list[str]) -> int:
    status = 0
    for name in names:
        found = [
            raw
            for raw in world["objects"].get(kind, [])
            if (raw["metadata"]["namespace"], raw["metadata"]["name"]) == (namespace, name)
        ]
        if name in world.get("vanishing", ()):
            for raw in found:
                world["objects"][kind].remove(raw)
            found = []
        for raw in found:
            raw["metadata"].pop("finalizers", None)
        if not found:
            print(f'Error from server (NotFound): {kind} "{name}" not found', file=sys.stderr)
            status = 1
    return status


def _rendered(option: str, items: list[Any]) -> str:
    """Return what kubectl's JSONPath template prints, as far as deploy/uninstall uses them."""
    tokens = re.findall(r"\{[^{}]*\}|[^{}]+", option.removeprefix("jsonpath="))
    return _render(iter(tokens), {"items": items})


def _render(tokens: Iterator[str], value: Any) -> str:  # noqa: ANN401  (JSON)
    text = ""
    for token in tokens:
        word = token[1:-1] if token[0] == "{" else ""
        if word == "end":
            break
        if word.startswith("range "):
            block = list(_block(tokens))
            elements = _at(value, word.removeprefix("range ").removesuffix("[*]")) or []
            text += "".join(_render(iter(block), each) for each in elements)
        elif word.startswith('"'):
            text += str(json.loads(word))
        elif word:
            found = _at(value, word)
            text += found if isinstance(found, str) else json.dumps(found) if found else ""
        else:
            text += token
    return text


def _block(tokens: Iterator[str]) -> Iterator[str]:
    """Yield the tokens of a range, without its end."""
    depth = 1
    for token in tokens:
        depth += token.startswith("{range ") - (token == "{end}")
        if not depth:
            return
        yield token


def _at(value: Any, path: str) -> Any:  # noqa: ANN401  (JSON)
    for key in path.removeprefix("@").split("."):
        value = value.get(key) if key and value is not None else value
    return value


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
