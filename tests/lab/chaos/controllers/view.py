"""Reads objects from the API server: for the models, and whole for the evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from danm_api.kube.api import KubeApi, RawObject, Resource
from tests.lab.chaos.objects import in_the_end


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All objects of some kinds, as the API server sends them.

    Attributes:
        machine: What a subject has seen beside objects, as JSON values.
    """

    objects: Mapping[Resource, Sequence[RawObject]]
    machine: object = None

    def json(self) -> bytes:
        """Return all of it."""
        found: dict[str, object] = {each.plural: raw for each, raw in self.objects.items()}
        return msgspec.json.format(msgspec.json.encode(found | {"machine": self.machine}))


async def read_objects(
    api: KubeApi, kinds: Sequence[Resource]
) -> dict[Resource, Sequence[RawObject]]:
    """Read all objects of some kinds, however long the API server is away."""
    return {kind: await _listed(api, kind) for kind in kinds}


async def _listed(api: KubeApi, kind: Resource) -> list[RawObject]:
    return (await in_the_end(lambda: api.list(kind))).items
