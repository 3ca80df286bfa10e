"""Which cluster is asked."""

from pathlib import Path

import msgspec
import pytest

from danm_api.errors import ApiError
from kubectl_danm.connection import Target, connect


def a_kubeconfig(path: Path, *, namespace: str | None = None) -> Path:
    """Write one with two contexts."""
    context = {"cluster": "k", "user": "u"}
    other = context if namespace is None else {**context, "namespace": namespace}
    path.write_bytes(
        msgspec.json.encode(
            {
                "current-context": "one",
                "contexts": [
                    {"name": "one", "context": context},
                    {"name": "two", "context": other},
                ],
                "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:1"}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
            }
        )
    )
    return path


async def test_the_context_says_the_namespace(tmp_path: Path) -> None:
    """As for kubectl: the context's own, else "default"."""
    path = str(a_kubeconfig(tmp_path / "config", namespace="vnf"))
    async with connect(Target(kubeconfig=path)) as session:
        assert session.namespace == "default"
    async with connect(Target(kubeconfig=path, context="two")) as session:
        assert session.namespace == "vnf"


async def test_without_an_option_it_is_kubectl_s_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KUBECONFIG, or else the one of the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(ApiError, match=str(tmp_path / ".kube" / "config")):
        async with connect(Target()):
            pass
    monkeypatch.setenv("KUBECONFIG", str(a_kubeconfig(tmp_path / "other")))
    async with connect(Target()) as session:
        assert session.namespace == "default"
