"""DanmNets for netwatcher's tests."""

from datetime import UTC, datetime, timedelta

from danm_api.model.danmnet import (
    BuiltInType,
    DanmNet,
    NetworkSpec,
    NetworkStatus,
    Segment,
    StaticDelegate,
    Untagged,
)
from danm_api.names import Namespace, NetworkName, NetworkUid

START = datetime(2026, 1, 1, tzinfo=UTC)


def a_net(
    name: str = "external",
    *,
    namespace: str = "n",
    segment: Segment = Untagged(),  # noqa: B008  (frozen)
    device: str | None = "ens4",
    kind: BuiltInType | StaticDelegate = BuiltInType.IPVLAN,
    age_s: int = 0,
) -> DanmNet:
    """Build an accepted DanmNet."""
    spec = NetworkSpec(
        network_id=NetworkName(name), network_type=kind, host_device=device, segment=segment
    )
    return DanmNet(
        namespace=Namespace(namespace),
        name=NetworkName(name),
        uid=NetworkUid(f"{namespace}-{name}"),
        generation=1,
        resource_version="1",
        spec=spec,
        created=START - timedelta(seconds=age_s),
        status=NetworkStatus(applied=spec),
    )
