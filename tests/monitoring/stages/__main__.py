"""``python -m tests.monitoring.stages JOB PORT``: one part, until standard input ends."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Final

from monitoring.scrape import (
    DANMD_JOB,
    IPAM_JOB,
    NODE_NETWATCHER_JOB,
    SVCWATCHER_JOB,
    VALIDATOR_JOB,
)
from tests.monitoring.stages.danmd import danmd
from tests.monitoring.stages.ipam import ipam
from tests.monitoring.stages.netwatcher import netwatcher, validator
from tests.monitoring.stages.stage import Part, play
from tests.monitoring.stages.svcwatcher import svcwatcher

PARTS: Final[Mapping[str, Part]] = {
    DANMD_JOB: danmd,
    IPAM_JOB: ipam,
    NODE_NETWATCHER_JOB: netwatcher,
    VALIDATOR_JOB: validator,
    SVCWATCHER_JOB: svcwatcher,
}

if __name__ == "__main__":
    asyncio.run(play(PARTS[sys.argv[1]], int(sys.argv[2])))
