"""The image of the release before this one, for tests of updates.

It has this release's packages: none of them has to be got again.
"""

from pathlib import Path
from typing import Final

from tests.lab.images import Images

_PACKAGES: Final = "/app/lib/python3.11/site-packages"


def previous_ipam_image(images: Images, tree: Path, *, present: str) -> str:
    """Build ipam-svc's image of an earlier source tree, and return its name.

    Args:
        images: Knows the engine that builds.
        tree: Of the earlier release; build-support/previous-release makes it.
        present: This release's image.

    Raises:
        BuildError: The engine refused.
    """
    name = f"{present.rpartition(':')[0]}:previous"
    dockerfile = f"""
FROM {present}
USER 0:0
RUN rm -r {_PACKAGES}/danm_api {_PACKAGES}/ipam_svc
COPY libs/danm-api/danm_api {_PACKAGES}/danm_api
COPY services/ipam-svc/ipam_svc {_PACKAGES}/ipam_svc
RUN python3.11 -m compileall -q {_PACKAGES}/danm_api {_PACKAGES}/ipam_svc
USER 65532:65532
"""
    images.build(name, dockerfile=dockerfile, context=tree)
    return name
