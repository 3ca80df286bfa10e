"""``diagnose``: no secret is in what it writes."""

import json
import stat
from pathlib import Path

from danm_api.kube.api import CONFIG_MAPS, EVENTS, LEASES, NODES, PODS, SECRETS, SERVICES
from kubectl_danm.testing.secretive import PLANTED, read_archive, secretive_stage


def test_no_secret_is_in_the_archive(tmp_path: Path) -> None:
    """Of those planted in every place that is read, and beside, none is found anywhere."""
    target = tmp_path / "a.tar.gz"
    stage = secretive_stage()
    result = stage.ask("diagnose", "--file", str(target))
    found = read_archive(target)
    everything = "\n".join((*found, *found.values(), result.output))
    assert [secret for secret in PLANTED if secret in everything] == []
    assert not {("list", "secrets"), ("list", "configmaps"), ("get", "secrets")} & set(
        stage.kube.calls
    )
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_each_planted_secret_is_where_it_is_read() -> None:
    """The test above looks for what is there: nothing was planted under another name."""
    stage = secretive_stage()
    kinds = (SECRETS, CONFIG_MAPS, PODS, NODES, LEASES, SERVICES, EVENTS)
    everything = json.dumps([stage.kube.all_stored(kind) for kind in kinds])
    everything += "\n".join(stage.texts.answers.values()) + repr(stage.kube.backup())
    assert [secret for secret in PLANTED if secret not in everything] == []
