"""Finding ipam-svc."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from danm_api.errors import IpamUnavailableError
from danm_api.ipam_discovery import IpamDiscovery
from danm_api.kube.api import CONFIG_MAPS, ENDPOINT_SLICES
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.hangs import HANGS_S

NAMESPACE = "danm-system"


def _slice(name: str, family: str, *endpoints: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": NAMESPACE,
            "name": name,
            "labels": {"kubernetes.io/service-name": "danm-ipam"},
        },
        "addressType": family,
        "ports": [{"name": "https", "port": 9443, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }


def _endpoint(address: str, *, ready: bool) -> dict[str, Any]:
    return {"addresses": [address], "conditions": {"ready": ready, "serving": True}}


async def test_replicas_trust_and_token_are_followed(tmp_path: Path) -> None:
    """Replicas come from EndpointSlices, ready ones first; trust and token as they are now."""
    kube = FakeKube()
    kube.add(
        ENDPOINT_SLICES,
        _slice(
            "a", "IPv4", _endpoint("192.0.2.1", ready=False), _endpoint("192.0.2.2", ready=True)
        ),
    )
    kube.add(ENDPOINT_SLICES, _slice("b", "IPv6", _endpoint("2001:db8::1", ready=True)))
    discovery = IpamDiscovery(kube, system_namespace=NAMESPACE, token_file=tmp_path / "token")
    watch = asyncio.create_task(discovery.run())
    try:
        await discovery.wait_synced(HANGS_S)
        assert ["192.0.2.2:9443", "[2001:db8::1]:9443", "192.0.2.1:9443"] == discovery.endpoints()
        with pytest.raises(IpamUnavailableError, match="ConfigMap"):
            discovery.trust()
        with pytest.raises(IpamUnavailableError, match="token"):
            discovery.token()
        kube.add(
            CONFIG_MAPS,
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"namespace": NAMESPACE, "name": "danm-ipam-trust"},
                "data": {"ca.crt": "PEM"},
            },
        )
        async with asyncio.timeout(30):
            while not discovery.trust_maps.items():
                await asyncio.sleep(0.005)
        assert discovery.trust() == "PEM"
        for text in ("one", "two"):
            (tmp_path / "token").write_text(f"{text}\n")
            assert text == discovery.token()
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
