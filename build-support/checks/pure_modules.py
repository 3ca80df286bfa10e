"""Finds pure modules that use a part of the standard library that is not pure.

Run by ./test in the source tree. Pants enforces what modules import of this repository and of
third parties (`layers(...)` in BUILD files); the standard library it does not know.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRELUDE = Path("build-support/prelude.pants")
SOURCE_ROOTS = ("libs/*", "services/*", "components/*")

IMPURE = frozenset(
    {
        # network
        "asyncio", "http", "select", "selectors", "smtplib", "socket", "socketserver", "ssl",
        # the machine: files, processes, root
        "ctypes", "fcntl", "multiprocessing", "os", "posix", "pwd", "resource", "shutil", "signal",
        "subprocess", "tempfile", "threading",
        # clock and randomness, which are arguments
        "random", "sched", "secrets", "time",
    }
)  # fmt: skip
CLOCK_READS = frozenset({"now", "today", "utcnow"})


def impurities(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and words for each impure import or reading of the clock in a module."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                imported = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module)):
                imported = [module]
            case ast.Call(func=ast.Attribute(attr=name)) if name in CLOCK_READS:
                yield node.lineno, f"reads the clock: {name}()"
                continue
            case _:
                continue
        for name in imported:
            if name.partition(".")[0] in IMPURE:
                yield node.lineno, f"imports {name}"


def pure_names(build_file: str, prelude: str) -> tuple[str, list[str]]:
    """Return the package and its pure modules that a BUILD file tells `layers`.

    Raises:
        ValueError: The BUILD file has no call of `layers`.
    """
    scope: dict[str, object] = {}
    exec(prelude, scope)  # noqa: S102 - this repository's own macros, as Pants runs them
    for node in ast.walk(ast.parse(build_file)):
        match node:
            case ast.Call(func=ast.Name(id="layers"), keywords=keywords):
                # Values are literals and constants of the prelude.
                values = {
                    str(keyword.arg): eval(ast.unparse(keyword.value), scope)  # noqa: S307
                    for keyword in keywords
                }
                return values["package"], list(values.get("pure", ()))
    raise ValueError("no call of layers(...)")


def pure_modules(package: Path, names: list[str]) -> Iterator[Path]:
    """Yield the files of pure modules and pure packages, without their tests."""
    for name in names:
        files = [package / f"{name}.py", *sorted((package / name).glob("**/*.py"))]
        yield from (path for path in files if path.exists() and "_test" not in path.stem)


def main() -> int:
    """Print every impurity; fail when there is one."""
    prelude = (ROOT / PRELUDE).read_text()
    status = 0
    for pattern in SOURCE_ROOTS:
        for source_root in sorted(ROOT.glob(pattern)):
            package, names = pure_names((source_root / "BUILD").read_text(), prelude)
            for module in pure_modules(source_root / package, names):
                for line, words in impurities(module.read_text()):
                    status = 1
                    print(f"{module.relative_to(ROOT)}:{line}: pure, but {words}", file=sys.stderr)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
