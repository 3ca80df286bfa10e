"""DANM's kinds on an API server, served."""

import asyncio
from contextlib import suppress
from typing import Final

from danm_api.crd.definitions import ALL
from danm_api.errors import ConflictError, DanmError
from danm_api.kube.api import (
    DANMEPS,
    DANMIPBLOCKS,
    DANMNETS,
    DANMNODES,
    KubeApi,
    RawObject,
    Resource,
)
from danm_api.kube.client import KubeClient
from tests.lab.apiserver import ApiServer
from tests.lab.kube_objects import DEFINITIONS

_SERVED_WITHIN_S: Final = 60.0
_POLL_S: Final = 0.05


async def install_kinds_on(server: ApiServer) -> None:
    """Have all of DANM's kinds on a server, as `install_kinds` does, with a client of its own."""
    async with await KubeClient.connect(server.kubeconfig) as api:
        await install_kinds(api)


async def install_kinds(api: KubeApi, *first: RawObject) -> None:
    """Have all of DANM's kinds on a server, served, whether some are there already or not.

    Args:
        api: An administrator's client.
        first: Definitions that take the place of those of the same name.
    """
    for manifest in (*first, *(definition.manifest() for definition in ALL)):
        with suppress(ConflictError):
            await api.create(DEFINITIONS, manifest)
    await until_served(api)


async def until_served(api: KubeApi, *kinds: Resource) -> None:
    """Wait until a server knows kinds, by default all of DANM's; it tells nobody when."""
    async with asyncio.timeout(_SERVED_WITHIN_S):
        for kind in kinds or (DANMNETS, DANMEPS, DANMIPBLOCKS, DANMNODES):
            while not await _is_served(api, kind):
                await asyncio.sleep(_POLL_S)


async def _is_served(api: KubeApi, kind: Resource) -> bool:
    with suppress(DanmError):
        await api.list(kind)
        return True
    return False
