"""Reading kubeconfig files."""

from base64 import b64encode
from pathlib import Path

import msgspec
import pytest

from danm_api.errors import ApiError
from danm_api.kube.kubeconfig import read_kubeconfig

# PEM of nothing.
GARBAGE = b64encode(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").decode()


async def test_a_kubeconfig_is_read(tmp_path: Path) -> None:
    """Server and token file come from a kubeconfig; the token's newline does not."""
    (tmp_path / "token").write_text("secret\n")
    kubeconfig = tmp_path / "config"
    kubeconfig.write_bytes(
        msgspec.json.encode(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:8080/"}}],
                "users": [{"name": "u", "user": {"tokenFile": "token"}}],
            }
        )
    )
    config = await read_kubeconfig(kubeconfig)
    assert config.server == "http://127.0.0.1:8080"
    assert await config.credentials.header() == "Bearer secret"
    (tmp_path / "token").write_text("replaced")
    assert await config.credentials.renew("Bearer secret")
    assert await config.credentials.header() == "Bearer replaced"


@pytest.mark.parametrize(
    "content",
    [
        *(None, "", "[]", "{}", "current-context: none", "a: [", "%", "!!python/none x", "\x07"),
        "current-context: c\ncontexts: [c]",
        "current-context: c\ncontexts: [{name: c, context: 1}]\nclusters: 1",
    ],
)
async def test_a_broken_kubeconfig_is_named(tmp_path: Path, content: str | None) -> None:
    """A missing or broken kubeconfig is an error that names the file."""
    kubeconfig = tmp_path / "config"
    if content is not None:
        kubeconfig.write_text(content)
    with pytest.raises(ApiError, match=str(kubeconfig)):
        await read_kubeconfig(kubeconfig)


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        pytest.param({"certificate-authority-data": GARBAGE}, {}, id="authority"),
        pytest.param({"certificate-authority-data": "no base64!"}, {}, id="encoding"),
        pytest.param({"certificate-authority": "absent.crt"}, {}, id="absent"),
        pytest.param(
            {},
            {"client-certificate-data": GARBAGE, "client-key-data": GARBAGE},
            id="client",
        ),
    ],
)
async def test_certificates_that_are_none(
    tmp_path: Path, cluster: dict[str, str], user: dict[str, str]
) -> None:
    """They are an error that names the file."""
    kubeconfig = tmp_path / "config"
    server = {"server": "https://127.0.0.1:6443"}
    kubeconfig.write_bytes(
        msgspec.json.encode(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "clusters": [{"name": "k", "cluster": server | cluster}],
                "users": [{"name": "u", "user": {"token": "t"} | user}],
            }
        )
    )
    with pytest.raises(ApiError, match=str(kubeconfig)):
        await read_kubeconfig(kubeconfig)


async def test_a_context_is_chosen_and_says_its_namespace(tmp_path: Path) -> None:
    """Also out of several files, as KUBECONFIG may name them."""
    contexts = {
        "one": {"cluster": "a", "user": "u"},
        "two": {"cluster": "b", "user": "u", "namespace": "vnf"},
    }
    for name, (cluster, port) in {"one": ("a", 1), "two": ("b", 2)}.items():
        (tmp_path / name).write_bytes(
            msgspec.json.encode(
                {
                    "current-context": "one",
                    "contexts": [{"name": name, "context": contexts[name]}],
                    "clusters": [
                        {"name": cluster, "cluster": {"server": f"http://127.0.0.1:{port}"}}
                    ],
                    "users": [{"name": "u", "user": {"token": "t"}}],
                }
            )
        )
    both = Path(f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    current = await read_kubeconfig(both)
    assert (current.server, current.namespace) == ("http://127.0.0.1:1", None)
    other = await read_kubeconfig(both, context="two")
    assert (other.server, other.namespace) == ("http://127.0.0.1:2", "vnf")
    with pytest.raises(ApiError, match="three"):
        await read_kubeconfig(both, context="three")
