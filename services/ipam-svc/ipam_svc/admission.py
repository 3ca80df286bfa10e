"""Whether new entries may be written into a block: what only consistent reads can tell.

Whoever takes rights from a network (the Lease holder that deletes it, the validator that narrows it
or lets another one onto its wire) says so in a DanmNet, and then seals the blocks concerned or
raises their fence. What a replica has read before that counts no more: a write on the older version
of the block fails, and on the newer one the DanmNet is read again (decision 0010).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from danm_api.errors import (
    ConflictError,
    DanmError,
    InvalidNetworkError,
    InvalidRequestError,
    NetworkNotFoundError,
    NetworkNotReadyError,
)
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.model.ip_block import IPBlock
from danm_api.validation import shares_wire
from ipam_svc.block_change import Change, TakeAny, TakeExact
from ipam_svc.store import BlockStore


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admission:
    """What was read of a block's network since the block had its present fence.

    Attributes:
        spec: In force; None when nobody asked.
        changing: It is about to be replaced by one that allows less.
        alone: No other DanmNet is on the wire; None when nobody asked.
    """

    fence: int
    spec: NetworkSpec | None
    changing: bool
    alone: bool | None


class Admissions:
    """Remembers what was read, by block."""

    def __init__(self, store: BlockStore) -> None:
        """Read from a store."""
        self._store = store
        # By the blocks' UIDs.
        self._known: dict[str, _Admission] = {}

    def allow(self, block: IPBlock, changes: Iterable[Change]) -> bool:
        """Say whether changes may make new entries, without reading anything."""
        known = self._known.get(block.uid)
        for change in changes:
            if known is None or known.fence != block.fence:
                return False
            if _refusal(block, known, change) is not None:
                return False
            basis = _basis(change)
            if basis is not None and basis is not known.spec:
                # They are equal. The next change has this very object: nothing to compare then.
                known = self._known[block.uid] = replace(known, spec=basis)
        return True

    async def admit(self, block: IPBlock, changes: Sequence[Change]) -> list[DanmError | None]:
        """Read what new entries of a block depend on, and judge each change by it.

        The block was read, or created, before this: who takes rights away later meets it.

        Returns:
            For each change why it may make no entry; None for one that may.

        Raises:
            ApiUnavailableError: The API server did not answer.
        """
        try:
            admission = await self._read(
                block,
                judged=any(_basis(change) is not None for change in changes),
                alone=any(_needs_to_be_alone(change) for change in changes),
            )
        except (NetworkNotFoundError, NetworkNotReadyError, InvalidNetworkError) as error:
            return [error] * len(changes)
        self._known[block.uid] = admission
        return [_refusal(block, admission, change) for change in changes]

    async def prepare(self, block: IPBlock) -> None:
        """Read what most new entries of a block depend on, before any is asked for.

        Raises:
            DanmError: It could not be read, or the network gives nothing new.
        """
        self._known[block.uid] = await self._read(block, judged=True, alone=False)

    def forget(self, block: IPBlock) -> None:
        """Drop what is remembered of a block that is gone."""
        self._known.pop(block.uid, None)

    async def _read(self, block: IPBlock, *, judged: bool, alone: bool) -> _Admission:
        net = await self._store.read_network(block.namespace, block.network)
        _require_use(block, net)
        spec = net.spec_in_force() if judged else None
        is_alone = None
        if spec is not None and alone:
            is_alone = not shares_wire(net, spec, await self._store.list_networks())
        return _Admission(
            fence=block.fence, spec=spec, changing=net.spec_is_changing, alone=is_alone
        )


def _basis(change: Change) -> NetworkSpec | None:
    return change.basis if isinstance(change, TakeAny | TakeExact) else None


def _needs_to_be_alone(change: Change) -> bool:
    return isinstance(change, TakeExact) and change.alone


def _refusal(block: IPBlock, admission: _Admission, change: Change) -> DanmError | None:
    """Return why a change may not make a new entry in a block that is admitted so."""
    basis = _basis(change)
    if basis is None:
        return None
    where = f"DanmNet {block.namespace}/{block.network}"
    if admission.changing or (basis is not admission.spec and basis != admission.spec):
        return ConflictError(f"the spec of {where} changes at this moment; try again")
    if isinstance(change, TakeExact) and change.alone and not admission.alone:
        reason = (
            f"{change.address} lies outside of the pool of {where}, whose wire other DanmNets"
            " share; choose an address of the pool"
        )
        return InvalidRequestError(reason)
    return None


def _require_use(block: IPBlock, net: DanmNet) -> None:
    where = f"DanmNet {block.namespace}/{block.network}"
    if net.uid != block.network_uid:
        raise NetworkNotFoundError(f"{where} was deleted and created anew; try again")
    if net.deleting:
        raise NetworkNotReadyError(f"{where} is being deleted: it gives no new addresses")
