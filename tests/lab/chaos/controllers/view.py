"""Reads objects from the API server: for the models, and whole for the evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from danm_api.kube.api import KubeApi, RawObject, Resource
from tests.lab.chaos.objects import in_the_end


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All objects of some kinds, as the API server sends them."""

    objects: Mapping[Resource, Sequence[RawObject]]

    def json(self) -> bytes:
        """Return all of it."""
        return msgspec.json.format(
            msgspec.json.encode({each.plural: found for each, found in self.objects.items()})
        )


async def view_of(api: KubeApi, kinds: Sequence[Resource]) -> View:
    """Read all objects of some kinds, however long the API server is away."""
    found: dict[Resource, list[RawObject]] = {}
    for kind in kinds:
        found[kind] = await _listed(api, kind)
    return View(objects=found)


async def _listed(api: KubeApi, kind: Resource) -> list[RawObject]:
    return (await in_the_end(lambda: api.list(kind))).items
