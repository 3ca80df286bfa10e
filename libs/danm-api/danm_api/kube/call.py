"""One request to the API server, without what its connection adds to it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from danm_api.kube.api import Answer, JsonPatch, MergePatch, Resource
from danm_api.kube.paths import object_path

_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request.

    Attributes:
        method: HTTP's.
        resource: What it is about.
        namespace: None for cluster-scoped kinds and for all namespaces.
        name: Of the object; empty for all.
        subresource: Of the object; empty for itself.
        query: Of the address.
        body: What is sent, None for nothing.
        content_type: Of the body.
        answer: What is asked for.
    """

    method: str
    resource: Resource
    namespace: str | None
    name: str = ""
    subresource: str = ""
    query: Mapping[str, str] | None = None
    body: MergePatch | JsonPatch | None = None
    content_type: str = _JSON
    answer: Answer = Answer.OBJECT

    @property
    def subject(self) -> str:
        """Say which object it is about, as far as it is one."""
        return "/".join(part for part in (self.namespace, self.name, self.subresource) if part)

    @property
    def title(self) -> str:
        """Say what it is, for errors."""
        return f"{self.method} {self.resource.plural} {self.subject}".rstrip()

    @property
    def path(self) -> str:
        """Return the path that it goes to, with its leading slash.

        Raises:
            NotFoundError: No object can have that name.
        """
        return object_path(self.resource, self.namespace, self.name, self.subresource)

    @property
    def headers(self) -> dict[str, str]:
        """Return what it says of itself."""
        headers: dict[str, str] = {"Accept": self.answer}
        if self.body is not None:
            headers["Content-Type"] = self.content_type
        return headers

    def data(self) -> bytes | None:
        """Return the body as it is sent."""
        return None if self.body is None else msgspec.json.encode(self.body)
