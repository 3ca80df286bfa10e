"""Each alert fires when its fault is made, and clears when it is mended: in a real Prometheus.

The rules are the committed ones with shorter times, since nobody waits a quarter of an hour.
"""

from pathlib import Path
from typing import Final

import pytest

from monitoring.alerts import alerts
from monitoring.durations import Durations
from monitoring.rules import rule_file, rule_text
from monitoring.scrape import (
    DANMD_JOB,
    IPAM_JOB,
    NODE_NETWATCHER_JOB,
    SVCWATCHER_JOB,
    VALIDATOR_JOB,
)
from tests.lab.process import wait_until
from tests.monitoring.cast import playing
from tests.monitoring.prometheus import running

# Five minutes become 5 s, so that the shortest windows hold some scrapes.
_SCALE: Final = 1 / 60
_INTERVAL: Final = "1s"
_WITHIN_S: Final = 120.0

# What goes wrong where, and what is told of it.
_NOT_READY: Final = "no replica of ipam-svc is ready"
_NO_HOLDER: Final = "no replica holds the Lease"
_FAULTS: Final = (
    (IPAM_JOB, "unready", "DanmIpamUnavailable", _NOT_READY),
    (SVCWATCHER_JOB, "refused", "DanmNobodyLeads", _NO_HOLDER),
    (IPAM_JOB, "full", "DanmPoolNearlyFull", "few addresses are free"),
    (
        IPAM_JOB,
        "certificate",
        "DanmCertificateNearExpiry",
        "the serving certificate was not renewed in time",
    ),
    (DANMD_JOB, "leak", "DanmLeakSuspected", "addresses that the node does not know"),
    (NODE_NETWATCHER_JOB, "flap", "DanmLinkFlapping", "a host link is lost again and again"),
    (
        NODE_NETWATCHER_JOB,
        "unplugged",
        "DanmNodeCannotServe",
        "host links that were up today are down",
    ),
    (VALIDATOR_JOB, "silence", "DanmStaleWatch", "nothing was heard of a kind"),
)


@pytest.mark.timeout(5 * _WITHIN_S)
def test_alerts_fire_when_faults_are_made_and_clear_when_they_are_mended(tmp_path: Path) -> None:
    """Nothing fires while all is well; each fault is told; afterwards all is silent again."""
    rules = tmp_path / "rules.yaml"
    shortened = alerts(Durations(scale=_SCALE))
    rules.write_text(rule_text(rule_file(shortened)))
    with playing(tmp_path) as actors:
        scrape = [actor.scrape() for actor in actors.values()]
        with running(tmp_path, scrape=scrape, rules=[rules], interval=_INTERVAL) as prometheus:

            def wait_for(reasons: dict[str, set[str]], what: str) -> None:
                try:
                    wait_until(
                        lambda: prometheus.firing() == reasons, what=what, timeout_s=_WITHIN_S
                    )
                finally:
                    print(f"{what}: {prometheus.firing()}")

            wait_until(
                prometheus.all_up,
                what=f"All parts are scraped (logs: {tmp_path})",
                timeout_s=_WITHIN_S,
            )
            wait_for({}, "Nothing fires while all is well")
            for job, fault, *_ in _FAULTS:
                actors[job].tell(fault)
            wait_for({alert: {reason} for _, _, alert, reason in _FAULTS}, "Each fault is told")
            for job, fault, *_ in _FAULTS:
                actors[job].tell(fault)
            wait_for({}, "All is silent again")

            danmd = actors[DANMD_JOB]
            danmd.stop()
            wait_for(
                {"DanmNodeCannotServe": {"danmd does not answer"}}, "A danmd that is gone is told"
            )
            danmd.start()
            wait_for({}, "Nothing fires any more")

            service = actors[IPAM_JOB]
            service.stop()
            wait_for(
                {"DanmIpamUnavailable": {_NOT_READY}, "DanmNobodyLeads": {_NO_HOLDER}},
                "An ipam-svc that is gone is told",
            )
            service.start()
            wait_for({}, "Nothing fires in the end")
    assert {alert for _, _, alert, _ in _FAULTS} == {alert.name for alert in shortened}
