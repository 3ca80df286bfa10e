"""The part of `lab bench cni` that runs in a guest: once each, with figures that say nothing."""

import os
import shlex
import sys
from pathlib import Path

from danm_cni.shim import main as shim_program
from tests.lab.bench.cni.cases import Case, Kind
from tests.lab.bench.cni.guest import GuestJob, measure
from tests.lab.binaries import CNI_PLUGINS, Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.progress import Progress


async def test_ipvlan_is_measured_on_both_sides(tmp_path: Path) -> None:
    """Danmd makes real IPVLAN interfaces when `danm` is called, and so do the plugins."""
    executable = tmp_path / "danm"
    paths = shlex.quote(os.pathsep.join(filter(None, sys.path)))
    package = shim_program.__name__.rpartition(".")[0]
    # Run by this interpreter: building the static one takes a guest too long.
    executable.write_text(
        f"#!/bin/sh\nPYTHONPATH={paths} exec {shlex.quote(sys.executable)} -m {package}\n"
    )
    executable.chmod(0o755)
    binaries = Binaries(Cache(directory=default_cache_directory()), Progress(quiet=True))
    cases = [Case(kind=Kind.IPVLAN, interfaces=count) for count in (1, 3)]
    rows = await measure(
        GuestJob(
            executables=str(tmp_path),
            plugins=str(binaries.directory(CNI_PLUGINS)),
            cases=cases,
            case_s=1.0,
            quiet=True,
        )
    )
    assert [row.case for row in rows] == cases
    for row in rows:
        assert row.reference is not None
        assert row.danm.add.count == row.danm.delete.count == row.reference.add.count == 1
