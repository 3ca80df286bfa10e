"""How the objects of deploy/ become templates."""

from pathlib import PurePosixPath
from typing import Any

import pytest

from chart.kustomization import Kustomized, RawObject, Source
from chart.objects import UnequalObjectsError, templates


def _kustomized(**objects: RawObject) -> Kustomized:
    sources = (
        Source(path=PurePosixPath(raw.pop("path", "any/file.yaml")), raw={"kind": kind, **raw})
        for kind, raw in ((kind, dict(raw)) for kind, raw in objects.items())
    )
    return Kustomized(sources=tuple(sources), tags={})


def _object(**more: Any) -> RawObject:  # noqa: ANN401  (raw YAML)
    return {"metadata": {"name": "x"}, **more}


def _text(whole: RawObject, alone: RawObject | None) -> str:
    (text,) = templates(
        _kustomized(A=whole), _kustomized(**({} if alone is None else {"A": alone})), {}
    ).values()
    _, _, body = text.partition("\n")
    return body


def test_an_object_of_both_is_always_there() -> None:
    """It has no condition."""
    assert _text(_object(), _object()) == "---\nkind: A\nmetadata:\n  name: x\n"


def test_an_object_of_the_whole_goes_with_the_rest() -> None:
    """With `ipamOnly` it is not there, nor where its directory is left out."""
    assert _text(_object(), None).startswith("{{- if not .Values.ipamOnly }}\n---\n")
    assert _text(_object(path="policies/x.yaml"), None).startswith(
        "{{- if and (not .Values.ipamOnly) .Values.policies.enabled }}\n---\n"
    )
    assert _text(_object(path="tenants/x.yaml"), _object()).startswith(
        "{{- if .Values.tenants.enabled }}\n---\n"
    )


def test_an_object_of_addresses_alone_goes_with_them() -> None:
    """Without `ipamOnly` it is not there; it stands in a file of its own path."""
    alone = _kustomized(A=_object(), B=_object(path="ipam-only/b.yaml"))
    files = templates(_kustomized(A=_object()), alone, {})
    *_, (path, text) = files.items()
    assert path == PurePosixPath("ipam-only/b.yaml")
    assert "{{- if .Values.ipamOnly }}\n---\nkind: B\n" in text
    assert len(files) == 2


def test_what_differs_depends_on_what_users_want() -> None:
    """An item more is added."""
    assert "- 1\n{{- if .Values.ipamOnly }}\n- 2\n{{- end }}\n" in _text(
        _object(args=[1]), _object(args=[1, 2])
    )


@pytest.mark.parametrize(
    ("whole", "alone"),
    [
        pytest.param({"A": _object(a=1)}, {"A": _object(a=2)}, id="scalar"),
        pytest.param({"A": _object(a=1)}, {"A": _object(b=1)}, id="keys"),
        pytest.param({"A": _object(a=[1])}, {"A": _object(a=[2])}, id="list"),
    ],
)
def test_other_differences_are_refused(
    whole: dict[str, RawObject], alone: dict[str, RawObject]
) -> None:
    """The chart is never less than what deploy/ipam-only says."""
    with pytest.raises(UnequalObjectsError):
        templates(_kustomized(**whole), _kustomized(**alone), {})


def test_the_namespace_is_helms() -> None:
    """``--create-namespace`` makes it."""
    assert templates(_kustomized(Namespace=_object()), _kustomized(), {}) == {}
