"""One command removes DANM again. The last of the end-to-end tests but for those without DANM."""

from tests.e2e.conftest import Tenant, eventually
from tests.lab.cluster import objects
from tests.lab.installation import Installation
from tests.lab.lab import Lab
from tests.lab.topology import NODES


def files_of_danm(lab: Lab) -> list[str]:
    """Return the files and links of DANM on the nodes."""
    found = []
    for node in NODES:
        done = lab.node_exec(
            node,
            [
                "sh", "-c",
                "cd /; ls -d opt/cni/bin/danm opt/cni/bin/fakeipam etc/cni/net.d/*danm* "
                "var/lib/danm/* 2> /dev/null; ip -o link | grep -E 'vx_|danm:' || true",
            ],
        )  # fmt: skip
        found += [f"{node.name}: {line}" for line in done.stdout.decode().splitlines()]
    return found


def test_uninstalling_leaves_the_cluster_as_it_was(
    lab: Lab, installation: Installation, tenant: Tenant
) -> None:
    """Executables, configuration, links, objects and CRDs are gone, and Pods still get networks."""
    installation.uninstall()
    assert files_of_danm(lab) == []
    crds = objects(lab, "customresourcedefinitions")
    assert [raw for raw in crds if raw["spec"]["group"] == "danm.k8s.io"] == []
    tenant.pod("afterwards", None)
    eventually(lambda: tenant.phase("afterwards") == "Running", "A Pod runs", 90.0)
