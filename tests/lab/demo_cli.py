"""The command `lab demo`."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from tests.lab.cache import file_lock, recipe_key
from tests.lab.cluster import Cluster, GivenCluster
from tests.lab.demo import Demo, DemoOptions
from tests.lab.errors import LabError
from tests.lab.images import COREDNS_IMAGE, PYTHON_BASE
from tests.lab.installation import (
    ROLLOUT_S,
    WORKLOADS,
    Installation,
    build_images,
    image_names,
)
from tests.lab.lab import Lab, default_state_directory, repository
from tests.lab.progress import Progress

# What podman calls images that are built without a registry's name.
LOCAL_PREFIX = "localhost"


def state_directory(name: str) -> Path:
    """Return where kustomizations for a cluster are kept."""
    return default_state_directory() / "kustomizations" / name


def prepare_images(lab: Lab) -> list[str]:
    """Build this tree's images and give them to a lab, which may be down; return their names."""
    # Neither Pants nor what tidies images up expects another one in the same tree.
    with file_lock(lab.cache.directory / "locks" / "part-images"):
        lab.prepare()
        lab.images.offer_python_base()
        build_images(repository(), lab.progress, base_image=PYTHON_BASE)
        names = list(image_names(LOCAL_PREFIX).values())
        lab.load_images(names)
    return names


def installation_on_lab(
    lab: Lab,
    *,
    part: str = "",
    workloads: Sequence[str] = WORKLOADS,
    rollout_s: float = ROLLOUT_S,
) -> Installation:
    """Bring a lab up with this tree's images; DANM, or a part of it, is not installed yet."""
    # Before the start: nodes boot with the images that there are, but unpack slowly.
    names = prepare_images(lab)
    lab.up()
    contents = recipe_key("1", *((lab.images.engine_id(name) or "").encode() for name in names))
    return Installation(
        lab,
        repository(),
        lab.progress,
        work=state_directory(lab.name),
        prefix=LOCAL_PREFIX,
        contents=contents,
        part=part,
        workloads=workloads,
        rollout_s=rollout_s,
    )


def install_on_lab(
    lab: Lab, *, part: str = "", workloads: Sequence[str] = WORKLOADS
) -> Installation:
    """Bring a lab up with this tree's images and DANM, or a part of it, on it."""
    installation = installation_on_lab(lab, part=part, workloads=workloads)
    installation.install()
    return installation


def demo_on_lab(lab: Lab) -> Demo:
    """Return the demo for a lab."""
    return Demo(
        lab,
        repository(),
        lab.progress,
        work=state_directory(lab.name),
        options=DemoOptions(image_prefix=LOCAL_PREFIX, dns_image=COREDNS_IMAGE),
    )


@click.command()
@click.option("--name", default="danm", show_default=True, help="The lab to use.")
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Use this cluster instead of a lab. Nothing but DANM and the demo's objects changes.",
)
@click.option(
    "--image-prefix",
    default=LOCAL_PREFIX,
    show_default=True,
    help="With --kubeconfig: where the images are, such as registry.example/telco; `localhost` "
    "for images that were loaded into the nodes beforehand.",
)
@click.option(
    "--dns-image",
    default=COREDNS_IMAGE,
    show_default=True,
    help="With --kubeconfig: a CoreDNS image.",
)
@click.option("--external-device", default="ens4", show_default=True, help="NIC for the VLAN.")
@click.option("--internal-device", default="ens3", show_default=True, help="NIC for the VXLAN.")
@click.option(
    "--management-type",
    default="flannel",
    show_default=True,
    help="NetworkType of the management network: NAME of NAME.conf or NAME.conflist in the nodes' "
    "CNI configuration directory.",
)
@click.option("--install/--no-install", default=True, help="Whether to apply deploy/ first.")
@click.option(
    "--remove", is_flag=True, help="Remove the demo at the end, and check that it is gone."
)
def demo(
    *,
    name: str,
    kubeconfig: Path | None,
    image_prefix: str,
    dns_image: str,
    external_device: str,
    internal_device: str,
    management_type: str,
    install: bool,
    remove: bool,
) -> None:
    """Run the seed's demo, and show what runs.

    Without --kubeconfig: brings up a lab, builds this tree's images, installs DANM from deploy/,
    applies examples/seed-demo and looks at it from all sides. Exits 0 when all is as it must be.
    """
    progress = Progress()
    if kubeconfig is None:
        lab = Lab.named(name, progress=progress)
        install_on_lab(lab)
        shown = demo_on_lab(lab)
        cluster: Cluster = lab
    else:
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise LabError("--kubeconfig needs kubectl on the PATH.")
        cluster = GivenCluster(kubeconfig=kubeconfig, kubectl_program=kubectl)
        work = state_directory(kubeconfig.stem)
        if install:
            Installation(cluster, repository(), progress, work=work, prefix=image_prefix).install()
        options = DemoOptions(
            image_prefix=image_prefix,
            dns_image=dns_image,
            external_device=external_device,
            internal_device=internal_device,
            management_type=management_type,
        )
        shown = Demo(cluster, repository(), progress, work=work, options=options)
    click.echo(cluster.kubectl("get", "nodes", "-o", "wide"))
    shown.run()
    if remove:
        shown.remove()
    progress.say("The demo shows what it must.")
