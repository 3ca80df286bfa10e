"""A CustomResourceDefinition of v1 as a whole. Pure."""

from dataclasses import dataclass
from typing import Any, Final

from danm_api.crd.schema import Schema
from danm_api.names import GROUP, VERSION

# The API server asks groups under k8s.io for the pull request that approved them, or for this.
_APPROVAL: Final = (
    "unapproved, the group that DANM has used since 2019 is kept so that existing manifests apply"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of ``kubectl get``.

    Attributes:
        path: A JSONPath into the object.
        kind: ``string``, ``integer`` or ``date``.
        wide: Shown only with ``-o wide``.
    """

    name: str
    path: str
    kind: str = "string"
    description: str = ""
    wide: bool = False


AGE: Final = Column(name="Age", path=".metadata.creationTimestamp", kind="date")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One kind of object.

    Attributes:
        schema: Of the whole object, less what every object has.
        has_status: Services write ``status`` through a subresource, and users cannot.
    """

    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    schema: Schema
    columns: tuple[Column, ...]
    namespaced: bool = True
    has_status: bool = False

    @property
    def file_name(self) -> str:
        """Return the name of its file in ``deploy/crds``."""
        return f"{self.plural}.yaml"

    def manifest(self) -> dict[str, Any]:
        """Return the object to apply."""
        version: dict[str, Any] = {
            "name": VERSION,
            "served": True,
            "storage": True,
            "additionalPrinterColumns": [_column(column) for column in self.columns],
            "schema": {"openAPIV3Schema": self.schema},
        }
        if self.has_status:
            version["subresources"] = {"status": {}}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": f"{self.plural}.{GROUP}",
                "annotations": {"api-approved.kubernetes.io": _APPROVAL},
            },
            "spec": {
                "group": GROUP,
                "scope": "Namespaced" if self.namespaced else "Cluster",
                "names": {
                    "kind": self.kind,
                    "listKind": f"{self.kind}List",
                    "plural": self.plural,
                    "singular": self.singular,
                    "shortNames": list(self.short_names),
                    "categories": ["danm"],
                },
                "versions": [version],
            },
        }


def _column(column: Column) -> dict[str, Any]:
    wire: dict[str, Any] = {"name": column.name, "type": column.kind, "jsonPath": column.path}
    if column.description:
        wire["description"] = column.description
    if column.wide:
        wire["priority"] = 1
    return wire
