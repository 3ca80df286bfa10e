"""What a run asks of etcd itself, by its HTTP gateway."""

from typing import Any, Final

import aiohttp
import msgspec

from tests.lab.errors import LabError

_DONE: Final = "required revision has been compacted"


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
    try:
        await _ask(url, "kv/compaction", {"revision": revision, "physical": True})
    except LabError as error:
        # The API server was quicker, or nothing has changed since the last time.
        if _DONE not in str(error):
            raise
    await _ask(url, "maintenance/defragment", {})


async def _ask(url: str, path: str, request: dict[str, object]) -> dict[str, Any]:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url}/v3/{path}", json=request) as answer,
        ):
            text = await answer.text()
    except (aiohttp.ClientError, OSError) as error:
        raise LabError(f"etcd does not do its {path}: {error}") from error
    if not answer.ok:
        raise LabError(f"etcd does not do its {path}: {text}")
    found: dict[str, Any] = msgspec.json.decode(text)
    return found
