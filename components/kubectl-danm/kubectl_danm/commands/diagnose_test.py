"""``diagnose``: one archive with all that a bug report needs."""

import json
from collections.abc import Mapping
from pathlib import Path

from danm_api.errors import ApiError
from danm_api.kube.answers import Excerpt
from danm_api.kube.api import DANMNETS
from kubectl_danm.testing.secretive import POD, read_archive, secretive_stage
from kubectl_danm.testing.stage import FakeTexts


def test_what_a_report_needs_is_there(tmp_path: Path) -> None:
    """Objects, Events, logs, metrics, the version, the examination and a summary."""
    target = tmp_path / "a.tar.gz"
    document = secretive_stage().document("diagnose", "--file", str(target))
    found = read_archive(target)
    assert document["missing"] == []
    assert sorted(found) == sorted(document["files"])
    (own,) = json.loads(found["objects/danm-pods.json"])
    (container,) = own["spec"]["containers"]
    assert container["image"] == "danm/svcwatcher:0.1.0"
    assert container["args"] == ["--log-level=info", "--api-key=(removed)"]
    assert container["env"] == [{"name": "OTEL_HEADERS"}]
    assert own["status"]["containerStatuses"][0]["lastState"]["terminated"] == {"exitCode": 3}
    names = {pod["metadata"]["name"] for pod in json.loads(found["objects/pods.json"])}
    assert names == {"processor-1"}
    assert json.loads(found["objects/danmnets.json"])[0]["status"]["conditions"]
    assert len(json.loads(found["objects/events.json"])) == 1
    assert "Reserved" in found[f"logs/{POD}/svcwatcher.log"]
    assert f"logs/{POD}/svcwatcher.previous.log" in found
    assert "danm_ipam_free 7" in found[f"metrics/{POD}.txt"]
    assert "v1.36.3" in found["version.json"]
    kinds = {each["kind"] for each in json.loads(found["check.json"])["findings"]}
    assert "AddressWithoutDanmEp" not in kinds
    summary = json.loads(found["summary.json"])
    assert summary["objects"]["danmeps"] == 1


def test_a_list_that_is_forgotten_is_read_anew(tmp_path: Path) -> None:
    """Nothing is missing, and nothing is there twice."""
    stage = secretive_stage()
    for name in ("b", "c"):
        stage.network(name, cidr="10.1.0.0/24")
    stage.kube.fail_next("page", DANMNETS, ApiError("expired", status=410))
    target = tmp_path / "a.tar.gz"
    assert stage.document("diagnose", "--file", str(target))["missing"] == []
    found = json.loads(read_archive(target)["objects/danmnets.json"])
    names = [each["metadata"]["name"] for each in found]
    assert names == ["b", "c", "internal"]


class BrokenTexts(FakeTexts):
    """Fails in a way that nobody has thought of."""

    async def text(
        self, path: str, *, params: Mapping[str, str] | None = None, max_bytes: int
    ) -> Excerpt:
        """Fail."""
        raise RuntimeError("unforeseen")


def test_nothing_is_replaced_and_nothing_half_is_left(tmp_path: Path) -> None:
    """An archive that is there stays, and an error leaves no part of one."""
    target = tmp_path / "a.tar.gz"
    target.write_text("mine")
    said = secretive_stage().ask("diagnose", "--file", str(target), status=2).stderr
    assert "is there already" in said
    assert target.read_text() == "mine"
    said = secretive_stage().ask("diagnose", "--file", str(tmp_path / "no" / "x"), status=2).stderr
    assert "name another --file" in said
    stage = secretive_stage()
    stage.texts = BrokenTexts()
    said = stage.ask("diagnose", "--file", str(tmp_path / "broken"), status=2).stderr
    assert said.startswith("Error: RuntimeError: unforeseen")
    assert [each.name for each in tmp_path.iterdir()] == ["a.tar.gz"]
