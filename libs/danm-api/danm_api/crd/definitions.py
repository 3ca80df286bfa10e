"""All definitions, the policy that goes with them, and their files' content. Pure."""

from collections.abc import Iterable
from typing import Any, Final

import yaml

from danm_api.crd import admission
from danm_api.crd.danm_node import DANMNODE
from danm_api.crd.danmep import DANMEP
from danm_api.crd.danmnet import DANMNET
from danm_api.crd.definition import Definition
from danm_api.crd.ip_block import DANMIPBLOCK

ALL: Final = (DANMNET, DANMEP, DANMIPBLOCK, DANMNODE)

_HEADER: Final = (
    "# Written by `python -m danm_api.crd`: change libs/danm-api/danm_api/crd instead.\n"
)
_LINE_LENGTH: Final = 100


class _Dumper(yaml.SafeDumper):
    """Repeats what occurs twice, since people read it."""

    def ignore_aliases(self, data: object) -> bool:
        """Write no anchors."""
        return True


def render(definition: Definition) -> str:
    """Return the content of a definition's file."""
    return _render([definition.manifest()])


def render_policy() -> str:
    """Return the content of the file with the policy for DanmNets."""
    return _render(admission.policy())


def _render(objects: Iterable[dict[str, Any]]) -> str:
    bodies = (
        yaml.dump(each, Dumper=_Dumper, sort_keys=False, width=_LINE_LENGTH) for each in objects
    )
    return _HEADER + "---\n".join(bodies)
