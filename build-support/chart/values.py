"""What users of the chart may set: the table that values.yaml, its schema and README are made of.

Each field's ``Meta`` says what it means and its unit. A default stands here only where deploy/ has
nothing to read it from; all others are read from the manifests (``chart.defaults``). A field that
may be None may be left out by users too (``null``): the manifest then has no such key.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

Quantity = str | int | float


class Section(Struct, rename="camel", forbid_unknown_fields=True):
    """A mapping of values.yaml."""


class Entry(Section, omit_defaults=True):
    """Something of the Kubernetes API; what is None is not written."""


class SecretName(Entry, kw_only=True):
    """A Secret of the release's namespace."""

    name: str


class EnvVar(Entry, kw_only=True):
    """An environment variable: as in a Pod's container."""

    name: str
    value: str | None = None
    value_from: dict[str, Any] | None = None


class Toleration(Entry, kw_only=True):
    """As in a Pod."""

    key: str | None = None
    operator: Literal["Exists", "Equal", "Lt", "Gt"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


class Affinity(Entry, kw_only=True):
    """As in a Pod."""

    node_affinity: dict[str, Any] | None = None
    pod_affinity: dict[str, Any] | None = None
    pod_anti_affinity: dict[str, Any] | None = None


class Resources(Entry, kw_only=True):
    """As in a Pod's container."""

    requests: dict[str, Quantity] | None = None
    limits: dict[str, Quantity] | None = None
    claims: list[dict[str, Any]] | None = None


class Image(Section, kw_only=True):
    """Where an image comes from."""

    repository: Annotated[
        str, Meta(min_length=1, description="Name, without tag; global.imageRegistry goes first.")
    ]
    tag: Annotated[
        str,
        Meta(
            description="Tag; empty for global.imageTag or else the part's version in this "
            "release. Counts where digest is empty."
        ),
    ] = ""
    digest: Annotated[
        str,
        Meta(
            pattern="^(sha256:[0-9a-f]{64})?$",
            description="Digest, such as sha256:..., instead of the tag; empty for none.",
        ),
    ] = ""
    pull_policy: Annotated[
        Literal["Always", "IfNotPresent", "Never"],
        Meta(description="When nodes pull it."),
    ]


class Workload(Section, kw_only=True):
    """What every part has."""

    image: Annotated[Image, Meta(description="Its image.")]
    resources: Annotated[
        Resources | None,
        Meta(description="Requests and limits: cpu in cores (100m: a tenth), memory in bytes."),
    ]
    node_selector: Annotated[
        dict[str, str] | None, Meta(description="Labels that its nodes must have.")
    ]
    tolerations: Annotated[
        list[Toleration] | None,
        Meta(description="Taints of nodes that it bears; a list of yours replaces this one."),
    ]
    affinity: Annotated[
        Affinity | None, Meta(description="Which nodes it prefers or needs, beside which Pods.")
    ]
    priority_class_name: Annotated[
        str | None,
        Meta(
            description="Whom the scheduler serves first, and evicts last. Without networks no "
            "other Pod starts."
        ),
    ]
    pod_annotations: Annotated[dict[str, str] | None, Meta(description="Annotations of its Pods.")]
    pod_labels: Annotated[
        dict[str, str] | None,
        Meta(
            description="Labels of its Pods, beside those that the chart sets.",
            # A list of forbidden names is reported without its place.
            extra_json_schema={
                "properties": {"app.kubernetes.io/name": False, "app.kubernetes.io/part-of": False}
            },
        ),
    ]
    extra_args: Annotated[
        list[str] | None,
        Meta(
            description="More flags of its program, such as --log-level=...; --help names them. "
            "Ports must stay: probes and clients know them."
        ),
    ]
    extra_env: Annotated[
        list[EnvVar] | None,
        Meta(description="More environment variables, such as OTEL_EXPORTER_OTLP_ENDPOINT."),
    ]


class DanmCni(Workload, kw_only=True):
    """The part that the nodes start Pods with."""

    node_selector: Annotated[
        dict[str, str] | None,
        Meta(
            description="Labels that its nodes must have. A node keeps DANM's configuration when "
            "it is left out, and starts no Pods then: clean it before, README.md says how."
        ),
    ]
    tolerations: Annotated[
        list[Toleration] | None,
        Meta(
            description="Taints of nodes that it bears; a list of yours replaces this one. Clean "
            "a node, as README.md says, before none of them bears its taints."
        ),
    ]


class DisruptionBudget(Section, kw_only=True):
    """How many replicas evictions may take at once."""

    enabled: Annotated[bool, Meta(description="Whether there is one.")] = True
    max_unavailable: Annotated[
        int,
        Meta(
            ge=1,
            description="Replicas that evictions may take at once; 0 would keep every "
            "node from being drained.",
        ),
    ]


class Replicated(Workload, kw_only=True):
    """A part that has replicas."""

    replicas: Annotated[
        int, Meta(ge=1, description="Replicas, each on a node of its own, whose ports it uses.")
    ]
    topology_spread_constraints: Annotated[
        list[dict[str, Any]] | None, Meta(description="How replicas spread over zones and nodes.")
    ]
    pod_disruption_budget: Annotated[
        DisruptionBudget, Meta(description="How many replicas a drained node may take.")
    ]


class Svcwatcher(Replicated, kw_only=True):
    """A part that may be left out."""

    enabled: Annotated[
        bool,
        Meta(
            description="Whether Services find Pods by their addresses on DanmNets. Switched off "
            "it leaves what it has written: README.md says how to delete that."
        ),
    ] = True


class Switch(Section, kw_only=True):
    """Something that may be left out."""

    enabled: Annotated[bool, Meta(description="Whether they are installed.")] = True


class Crds(Switch, kw_only=True):
    """The definitions of DANM's kinds."""

    keep: Annotated[
        bool,
        Meta(
            description="Whether they outlive the release. Without them every network, every "
            "record of an address and every interface's DanmEp of all namespaces is deleted. "
            "false is for clusters without DanmNets: otherwise `helm uninstall` removes ipam-svc "
            "first, without which no DanmNet and no record goes, and so no definition either. "
            "deploy/uninstall removes everything, whatever this says."
        ),
    ] = True


class Global(Section, kw_only=True):
    """What holds for all parts."""

    image_registry: Annotated[
        str,
        Meta(
            pattern="^([^/].*[^/])?$",
            description="What goes before each image's repository, "
            "such as registry.example/mirror; empty for nothing.",
        ),
    ] = ""
    image_tag: Annotated[
        str,
        Meta(
            description="Tag of the images of all parts that name none themselves; empty for each "
            "part's own version."
        ),
    ] = ""
    image_pull_secrets: Annotated[
        list[SecretName] | None,
        Meta(description="Secrets of the namespace with which nodes pull images."),
    ] = field(default_factory=list)


class Values(Section, kw_only=True):
    """All of them."""

    global_: Annotated[Global, Meta(description="What holds for all parts.")] = field(
        name="global", default_factory=Global
    )
    ipam_only: Annotated[
        bool,
        Meta(
            description="Addresses alone, for other CNI plugins: ipam-svc, the validator, and "
            "danmd with --ipam-only. The nodes' networks stay as they are; svcwatcher, netwatcher "
            "and policies are left out. Where all of DANM is installed it is refused: nodes would "
            "lose what starts their Pods."
        ),
    ] = False
    one_node: Annotated[
        bool,
        Meta(
            description="For a cluster of one node: one replica of each part, whatever its "
            "replicas says. A second one would find no node, and updates would wait for it."
        ),
    ] = False
    crds: Annotated[Crds, Meta(description="The definitions of DANM's kinds.")] = field(
        default_factory=Crds
    )
    policies: Annotated[
        Switch,
        Meta(
            description="Admission policies. Without them a node's token may write what other "
            "nodes own, and mistakes in DanmNets show after they are applied."
        ),
    ] = field(default_factory=Switch)
    tenants: Annotated[
        Switch,
        Meta(
            description="ClusterRoles with which tenants see their networks, and administrators "
            "write them."
        ),
    ] = field(default_factory=Switch)
    ipam_svc: Annotated[Replicated, Meta(description="Who holds which address.")]
    validator: Annotated[Replicated, Meta(description="Judges DanmNets.")]
    svcwatcher: Annotated[Svcwatcher, Meta(description="Endpoints of Services.")]
    danm_cni: Annotated[
        DanmCni, Meta(description="danmd, and the executables that it puts onto the nodes.")
    ]
    netwatcher: Annotated[Workload, Meta(description="VLAN and VXLAN links on every node.")]
