"""The definition of DanmNode (SPEC N6). Pure."""

from typing import Final

from danm_api.crd.definition import AGE, Column, Definition
from danm_api.crd.schema import flag, group, list_of, moment, number, text

DANMNODE: Final = Definition(
    kind="DanmNode",
    plural="danmnodes",
    singular="danmnode",
    short_names=("dno",),
    namespaced=False,
    has_status=True,
    schema=group(
        "What one node made of the DanmNets. Written by the node's netwatcher.",
        {
            "status": group(
                "The node's links.",
                {
                    "up": number("How many networks can be used on the node."),
                    "total": number("How many DanmNets there are."),
                    "networks": list_of(
                        group(
                            "One DanmNet.",
                            {
                                "namespace": text("The DanmNet's namespace."),
                                "network": text("The DanmNet's name."),
                                "link": text("The link that Pods hang on."),
                                "up": flag("Whether that link is there and up."),
                                "reason": text("Why it is not up, and what to do."),
                            },
                            required=("namespace", "network", "up"),
                        ),
                        "Every DanmNet, in the order of namespace and name.",
                    ),
                    "updated": moment("When netwatcher last found something else than before."),
                },
            ),
        },
    ),
    columns=(
        Column(name="Up", path=".status.up", kind="integer", description="Networks that work"),
        Column(name="Networks", path=".status.total", kind="integer"),
        Column(name="Updated", path=".status.updated", kind="date"),
        AGE,
        Column(name="Down", path=".status.networks[?(@.up==false)].reason", wide=True),
    ),
)
