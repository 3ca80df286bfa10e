"""What a static executable has to start with, and what it has not."""

import json
import os
import subprocess
from pathlib import Path

_BUILD = Path(__file__).with_name("build.sh")
# The core of CPython 3.11, and what these programs import.
_CORE = {"_frozen_importlib", "_imp", "_thread", "_warnings", "_weakref", "builtins", "sys"}


def _run(directory: Path, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Build a program out of its main module's source, run it without any variable."""
    package = directory / "program"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "version.py").write_text('VERSION = "1.2.3"\n')
    (package / "main.py").write_text(program)
    (package / "__main__.py").write_text("from program.main import main\n\nmain()\n")
    executable = directory / "executable"
    subprocess.run(
        [_BUILD, executable, "tried", "program.__main__"],
        env=dict(os.environ, SOURCE_ROOTS=str(directory)),
        check=True,
    )
    return subprocess.run(
        [executable, *arguments], env={}, capture_output=True, text=True, check=False
    )


def test_a_start_loads_the_core_alone(tmp_path: Path) -> None:
    """No codecs, no text streams, no search of files: they would be half of every start."""
    done = _run(
        tmp_path,
        "import posix, sys\n\n"
        "def main():\n"
        "    posix.write(1, ' '.join(sys.modules).encode())\n",
    )
    own = {"__main__", "posix", "program", "program.main"}
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.split()) == _CORE | own


def test_a_program_tells_its_version_without_being_started(tmp_path: Path) -> None:
    """It is its package's; of a program that is started with anything else nothing changes."""
    program = "import posix\n\ndef main():\n    posix.write(1, b'started')\n"
    done = _run(tmp_path, program, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "tried 1.2.3\n", "")
    started = subprocess.run(
        [tmp_path / "executable", "--versions"], check=True, capture_output=True
    )
    assert started.stdout == b"started"


def test_what_is_linked_is_told_with_its_licences(tmp_path: Path) -> None:
    """The interpreter, the C library and what else the linker has read, by Debian's packages."""
    _run(tmp_path, "def main():\n    pass\n")
    linked = tmp_path / "executable.linked"
    packages = json.loads((linked / "packages.json").read_text())
    names = [each["name"] for each in packages]
    assert {"libc6-dev", "libpython3.11-dev", "zlib1g-dev"} <= set(names)
    assert all(each["version"] and each["architecture"] for each in packages)
    texts = {path.name: path.read_text(errors="replace") for path in linked.glob("*.copyright")}
    assert sorted(texts) == sorted(f"{name}.copyright" for name in names)
    assert "GNU Lesser General Public" in texts["libc6-dev.copyright"]


def test_an_error_that_nobody_catches_is_printed(tmp_path: Path) -> None:
    """A traceback with names, on standard error, and the status of a failure."""
    done = _run(tmp_path, "def main():\n    raise FileNotFoundError(2, 'not here: ä', '/ä')\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert 'File "<frozen program.main>", line 2, in main' in done.stderr
    assert done.stderr.endswith("FileNotFoundError: [Errno 2] not here: ä: '/ä'\n")


def test_texts_are_converted(tmp_path: Path) -> None:
    """UTF-8 everywhere, in names of files too, with the usual ways round what is none."""
    program = (
        "import posix\n\n"
        "def main():\n"
        f"    posix.mkdir({str(tmp_path)!r} + '/ä')\n"
        "    parts = ['ä\\ud800'.encode('utf-8', 'replace'), b'\\xff'.decode('ascii', 'replace')]\n"
        "    parts += ['ä'.encode('ascii', 'backslashreplace'), b'\\xe4'.decode('latin-1')]\n"
        "    posix.write(1, repr(parts).encode())\n"
    )
    done = _run(tmp_path, program)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == repr([b"\xc3\xa4?", "\ufffd", b"\\xe4", "ä"])
    assert (tmp_path / "ä").is_dir()
