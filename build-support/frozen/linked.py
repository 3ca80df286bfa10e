"""Write down which packages of Debian an executable was linked of.

    linked.py DIRECTORY OBJECT < trace

The trace is what the linker prints with ``--trace``: each file that it has read, archives among
them of which it may have needed nothing. The object is the program's own. The directory gets
packages.json and each package's copyright file. It must run on the machine that linked.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


def linked_files(trace: str) -> set[Path]:
    """Return the files that a trace names."""
    return {Path(line).resolve() for line in trace.splitlines() if line}


def packages_of(files: Iterable[Path]) -> list[dict[str, str]]:
    """Return the packages that brought these files, by name.

    Raises:
        subprocess.CalledProcessError: No package brought one of them.
    """
    names = set()
    for file in sorted(files):
        (line,) = _query("--search", str(file)).splitlines()
        names.add(line.partition(": ")[0])
    form = "${Package} ${Version} ${Architecture}"
    rows = (_query("--show", f"--showformat={form}", name).split() for name in sorted(names))
    return [dict(zip(("name", "version", "architecture"), row, strict=True)) for row in rows]


def _query(*words: str) -> str:
    done = subprocess.run(["dpkg-query", *words], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def main(directory: Path, program: Path) -> None:
    """Write the directory anew."""
    packages = packages_of(linked_files(sys.stdin.read()) - {program.resolve()})
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / "packages.json").write_text(json.dumps(packages, indent=1) + "\n")
    for package in packages:
        name = package["name"]
        text = Path("/usr/share/doc") / name / "copyright"
        if not text.exists():
            raise SystemExit(f"{text} is missing: the executable's licences cannot be shipped")
        shutil.copyfile(text, directory / f"{name}.copyright")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
