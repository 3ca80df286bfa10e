"""From what a person says of a cluster to a client of it, by their own kubeconfig and rights."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from danm_api.kube.answers import Excerpt
from danm_api.kube.api import KubeApi
from danm_api.kube.client import KubeClient
from danm_api.kube.kubeconfig import read_kubeconfig
from danm_api.kube.timeouts import Timeouts
from danm_api.names import Namespace

# People wait longer than controllers do, and lists of a large cluster take their time.
_TIMEOUTS: Final = Timeouts(request_s=30.0, connect_s=5.0)
_DEFAULT_NAMESPACE: Final = Namespace("default")
_VARIABLE: Final = "KUBECONFIG"


class Texts(Protocol):
    """What of the API server is no object: versions, logs, what Pods answer through it."""

    async def text(
        self, path: str, *, params: Mapping[str, str] | None = None, max_bytes: int
    ) -> Excerpt:
        """Read a text, up to a bound."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which cluster somebody means.

    Attributes:
        kubeconfig: A path; None for KUBECONFIG, or ~/.kube/config.
        context: None for the current one.
    """

    kubeconfig: str | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A cluster that can be asked.

    Attributes:
        namespace: The one that the context names.
    """

    api: KubeApi
    texts: Texts
    namespace: Namespace


Connect = Callable[[Target], AbstractAsyncContextManager[Session]]


@asynccontextmanager
async def connect(target: Target) -> AsyncIterator[Session]:
    """Yield a session with a real cluster.

    Raises:
        ApiError: There is no usable configuration.
    """
    paths = target.kubeconfig or os.environ.get(_VARIABLE) or str(Path.home() / ".kube" / "config")
    config = await read_kubeconfig(Path(paths), context=target.context)
    async with KubeClient(config, timeouts=_TIMEOUTS, user_agent="kubectl-danm") as client:
        namespace = Namespace(config.namespace) if config.namespace else _DEFAULT_NAMESPACE
        yield Session(api=client, texts=client, namespace=namespace)


def _now() -> datetime:
    return datetime.now(tz=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the commands need of the world; tests give another one.

    Attributes:
        connect: How a cluster is reached.
        now: The time.
        sleep: Waits.
    """

    connect: Connect = connect
    now: Callable[[], datetime] = _now
    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)
