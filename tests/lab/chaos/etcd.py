"""What a run asks of etcd itself, by its HTTP gateway."""

from typing import Any

import aiohttp

from tests.lab.errors import LabError


async def current_revision(url: str) -> int:
    """Return the number of the last change.

    Raises:
        LabError: etcd does not say.
    """
    # Any key does: the answer's header tells.
    answer = await _ask(url, "kv/range", {"key": "AA==", "limit": 1})
    return int(answer["header"]["revision"])


async def forget_history(url: str, revision: int) -> None:
    """Have etcd drop all changes before one, and give the space back.

    An API server has that done every five minutes of its life; one that is killed more often never
    does, and etcd refuses all writes once it has 2 GB (some 900,000 operations of ipam-svc).

    Raises:
        LabError: etcd does not do it.
    """
    await _ask(url, "kv/compaction", {"revision": revision, "physical": True})
    await _ask(url, "maintenance/defragment", {})


async def _ask(url: str, path: str, request: dict[str, object]) -> dict[str, Any]:
    try:
        async with (
            aiohttp.ClientSession(raise_for_status=True) as session,
            session.post(f"{url}/v3/{path}", json=request) as answer,
        ):
            found: dict[str, Any] = await answer.json(content_type=None)
            return found
    except (aiohttp.ClientError, OSError) as error:
        raise LabError(f"etcd does not do its {path}: {error}") from error
