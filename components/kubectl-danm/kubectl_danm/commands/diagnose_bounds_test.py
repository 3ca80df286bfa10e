"""``diagnose``: however much there is, an archive has its bounds, and says where they cut."""

import json
from pathlib import Path

from kubectl_danm.testing.secretive import LOG, METRICS, POD, read_archive, secretive_stage


def logged(tmp_path: Path, log: str, *words: str) -> tuple[list[str], list[str]]:
    """Return the lines of a log in the archive, and what is said to be missing."""
    stage = secretive_stage()
    stage.texts.answers[LOG] = log
    target = tmp_path / "a.tar.gz"
    missing = stage.document("diagnose", "--file", str(target), *words)["missing"]
    return read_archive(target)[f"logs/{POD}/svcwatcher.log"].splitlines(), missing


def test_of_a_long_log_the_newest_lines_are_there(tmp_path: Path) -> None:
    """What happened last is what a report is about; what has no room is said."""
    # 4 MB: the last 5,000 lines have twice the room that there is.
    lines = [f"{number} {'x ' * 395}".rstrip() for number in range(5000)]
    kept, missing = logged(tmp_path, "\n".join(lines) + "\n")
    assert kept == lines[-len(kept) :]
    assert len(kept) > len(lines) // 4
    (told,) = (each for each in missing if f"logs/{POD}/svcwatcher.log" in each)
    assert f"only its last {len(kept)} lines are here: the last 5000 are longer than 2 MB" in told


def test_of_a_log_as_many_lines_as_are_wanted(tmp_path: Path) -> None:
    """The last ones; that there are others is no news."""
    kept, missing = logged(tmp_path, "one\ntwo\nthree\n", "--log-lines", "2")
    assert (kept, missing) == (["two", "three"], [])


def test_a_line_that_alone_is_too_long(tmp_path: Path) -> None:
    """Its beginning is there, and it is said."""
    (kept,), missing = logged(tmp_path, "one\n" + "last " * 500_000)
    assert kept.startswith("last last")
    assert "only the beginning of its last line" in missing[0]


def test_metrics_that_are_cut_say_so(tmp_path: Path) -> None:
    """Nobody takes the first ones for all of them."""
    stage = secretive_stage()
    stage.texts.answers[METRICS] = "a 1\n" * 500_001
    target = tmp_path / "a.tar.gz"
    missing = stage.document("diagnose", "--file", str(target))["missing"]
    assert missing == [f"metrics/{POD}.txt: only its first 2000000 bytes are here"]
    assert len(read_archive(target)[f"metrics/{POD}.txt"]) == 2_000_000


def test_a_bound_holds_and_is_said(tmp_path: Path) -> None:
    """A large cluster fills no disk."""
    stage = secretive_stage()
    stage.network("other", cidr="10.1.0.0/24")
    target = tmp_path / "a.tar.gz"
    document = stage.document("diagnose", "--file", str(target), "--max-objects", "1")
    assert "danmnets: only the first 1 are here" in document["missing"]
    assert len(json.loads(read_archive(target)["objects/danmnets.json"])) == 1
