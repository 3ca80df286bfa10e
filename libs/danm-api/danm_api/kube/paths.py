"""Where the API server serves what."""

from urllib.parse import quote

from danm_api.errors import NotFoundError
from danm_api.kube.api import Resource


def path_of(
    resource: Resource, namespace: str | None, name: str = "", subresource: str = ""
) -> str:
    """Return the path of an object, or without a name of all objects of a kind.

    Raises:
        NotFoundError: No object can have that name.
    """
    root = "apis" if resource.group else "api"
    place = f"/namespaces/{_segment(namespace)}" if namespace else ""
    parts = (resource.plural, _segment(name), subresource)
    path = "".join(f"/{part}" for part in parts if part)
    return f"/{root}/{resource.api_version}{place}{path}"


def _segment(text: str) -> str:
    """Return a name as one segment of a path: some come from what tenants write."""
    if text in {".", ".."}:
        raise NotFoundError(f'there is no object of the name "{text}"')
    return quote(text, safe=":")
