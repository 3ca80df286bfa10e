"""Paths and queries of the Kubernetes API. Pure."""

from urllib.parse import quote

from danm_api.errors import NotFoundError
from danm_api.kube.api import Resource


def object_path(
    resource: Resource, namespace: str | None, name: str = "", subresource: str = ""
) -> str:
    """Return the path of an object, or of all when ``name`` is empty, with its leading slash.

    Raises:
        NotFoundError: No object can have that name.
    """
    root = "apis" if resource.group else "api"
    place = f"/namespaces/{_segment(namespace)}" if namespace else ""
    parts = (resource.plural, _segment(name), subresource)
    path = "".join(f"/{part}" for part in parts if part)
    return f"/{root}/{resource.api_version}{place}{path}"


def _segment(text: str) -> str:
    """Return a name as one segment of a path: some come from what tenants write.

    Raises:
        NotFoundError: No object can have that name.
    """
    if text in {".", ".."}:
        raise NotFoundError(f'there is no object of the name "{text}"')
    return quote(text, safe=":")


def selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    """Return the query of those selectors that are given."""
    given = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in given.items() if value}
