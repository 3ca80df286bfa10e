"""Finds third parties that a product imports and that the images' shared layer lacks.

Run by ./test in the source tree: the PEX files of products hold sources only, and their images
take everything else from //3rdparty/python:runtime, so a package missing there would be missed
only when a process starts.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCTS = ("services::", "components::")
RUNTIME = "3rdparty/python:runtime"
THIRD_PARTY = "3rdparty/python#"
WITHOUT_CODE = "types-"
"""Type stubs: only mypy reads them."""


def ask_pants(*arguments: str) -> list[str]:
    """Return the addresses that Pants prints, one a line."""
    answer = subprocess.run(
        ["./pants", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return answer.stdout.split()


def lacking(needed: list[str], held: list[str]) -> list[str]:
    """Return the third parties among the needed addresses that are not held, in order."""
    wanted = {
        address
        for address in needed
        if address.startswith(THIRD_PARTY)
        and not address.removeprefix(THIRD_PARTY).startswith(WITHOUT_CODE)
    }
    return sorted(wanted - set(held))


def main() -> int:
    """Print what is lacking; fail when anything is."""
    images = ask_pants("--filter-target-type=docker_image", "list", *PRODUCTS)
    # Those that stand in no image, such as a tool for people, hold all that they import.
    in_images = set(ask_pants("dependencies", *images))
    binaries = ask_pants("--filter-target-type=pex_binary", "list", *PRODUCTS)
    products = [address for address in binaries if address in in_images]
    needed = ask_pants("dependencies", "--transitive", *products)
    found = lacking(needed, ask_pants("dependencies", RUNTIME))
    for address in found:
        print(f"{RUNTIME} lacks {address}, which a product imports", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
