"""What the chart says to people, and its templates that are no objects. Pure."""

import json
from collections.abc import Mapping
from typing import Final

import msgspec

from chart.documents import KUBERNETES_MINIMUM, value_at, walk
from chart.parts import PARTS
from chart.values import Values

_SHORT: Final = 60
"""A default that is longer is not shown in a table."""


def readme(
    values: Values, namespace: str, labels: Mapping[str, str], tags: Mapping[str, str]
) -> str:
    """Return README.md: how to install, and all values."""
    raw = msgspec.to_builtins(values)
    general, of_parts = [], dict[tuple[tuple[str, ...], str], dict[str, str]]()
    keys = [part.key for part in PARTS]
    for value in walk():
        if value.section:
            continue
        default = _shown(value_at(raw, value.path))
        if value.path[0] in keys:
            row = value.path[1:], value.meaning
            of_parts.setdefault(row, {})[value.path[0]] = default
        else:
            general.append(_row(value.path, value.meaning, default))
    parts = [
        _row(path, meaning + _whose(found, keys), _one_or_all(found))
        for (path, meaning), found in of_parts.items()
    ]
    return _README.format(
        labels=label_arguments(labels),
        minimum=KUBERNETES_MINIMUM,
        namespace=namespace,
        versions="".join(f"- {image}:{tag}\n" for image, tag in sorted(tags.items())),
        general="".join(general),
        keys=", ".join(f"`{key}`" for key in keys),
        parts="".join(parts),
    )


def _row(path: tuple[str, ...], meaning: str, default: str) -> str:
    return f"| `{'.'.join(path)}` | {meaning} | {default} |\n"


def _whose(found: Mapping[str, str], keys: list[str]) -> str:
    return "" if len(found) == len(keys) else f" Of {', '.join(found)}."


def _one_or_all(found: Mapping[str, str]) -> str:
    """Return the default of all parts, or of each."""
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return ", ".join(f"{key}: {default or 'none'}" for key, default in found.items())


def _shown(default: object) -> str:
    text = json.dumps(default)
    if text in ('""', "[]", "{}"):
        return ""
    return f"`{text}`" if len(text) <= _SHORT else "in values.yaml"


def label_arguments(labels: Mapping[str, str]) -> str:
    """Return labels as ``kubectl label`` takes them."""
    return " ".join(f"{key}={value}" for key, value in labels.items())


def notes(namespace: str, labels: Mapping[str, str]) -> str:
    """Return templates/NOTES.txt."""
    arguments = label_arguments(labels)
    tests = " ".join(f'(eq (dig "{key}" "" $labels) "{value}")' for key, value in labels.items())
    return (
        _NOTES.replace("@namespace@", namespace)
        .replace("@labels@", arguments)
        .replace("@tests@", tests)
    )


def release_check(namespace: str) -> str:
    """Return the template that refuses releases in another namespace."""
    return _RELEASE_CHECK.replace("@namespace@", namespace)


def ipam_only_check(namespace: str, daemon_set: str) -> str:
    """Return the template that refuses addresses alone where all of DANM is.

    Args:
        namespace: DANM's.
        daemon_set: One that only the whole installation has.
    """
    return _IPAM_ONLY_CHECK.replace("@namespace@", namespace).replace("@daemonset@", daemon_set)


HELPERS: Final = """\
{{- /* Written by `python -m chart`: change build-support/chart instead. */}}

{{- /* The reference of an image: of the chart's values, one image's, and its version here. */}}
{{- define "danm.image" -}}
{{- $values := index . 0 -}}
{{- $image := index . 1 -}}
{{- $name := $image.repository -}}
{{- with $values.global.imageRegistry }}{{ $name = printf "%s/%s" . $name }}{{ end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest | quote -}}
{{- else -}}
{{- $tag := $image.tag | default $values.global.imageTag | default (index . 2) -}}
{{- printf "%s:%s" $name $tag | quote -}}
{{- end -}}
{{- end }}
"""

_RELEASE_CHECK: Final = """\
{{- /* Written by `python -m chart`: change build-support/chart instead. */}}
{{- if ne .Release.Namespace "@namespace@" }}
{{- fail (printf "DANM lives in the namespace @namespace@, where its parts and other clients \
look for ipam-svc; the release's is %s: say --namespace @namespace@" .Release.Namespace) }}
{{- end }}
"""

# Without a server, as for `helm template`, nothing is found.
_IPAM_ONLY_CHECK: Final = """\
{{- /* Written by `python -m chart`: change build-support/chart instead. */}}
{{- if .Values.ipamOnly }}
{{- if lookup "apps/v1" "DaemonSet" "@namespace@" "@daemonset@" }}
{{- fail "All of DANM is installed here (there is the DaemonSet @daemonset@), and ipamOnly would \
take from every node what starts its Pods: leave ipamOnly out, or remove DANM with \
deploy/uninstall first" }}
{{- end }}
{{- end }}
"""

_NOTES: Final = """\
DANM {{ .Chart.AppVersion }} is being installed
{{- if .Values.ipamOnly }}: addresses alone, for other CNI plugins{{ end }}. Wait for it:

    kubectl -n @namespace@ rollout status deployment,daemonset --timeout=5m
{{- $namespace := lookup "v1" "Namespace" "" .Release.Namespace | default dict }}
{{- $labels := dig "metadata" "labels" dict $namespace }}
{{- if not (and @tests@) }}

The namespace lacks a label. Where the cluster enforces a stricter Pod security
standard, the parts that change the nodes' networks cannot start without it:

    kubectl label namespace @namespace@ --overwrite @labels@
{{- end }}
{{- if or .Values.ipamOnly (not .Values.svcwatcher.enabled) }}

What svcwatcher has written, if it was there before, stays until you delete it:

    kubectl delete endpointslices -A -l \
endpointslice.kubernetes.io/managed-by=svcwatcher.danm.k8s.io
    kubectl delete endpoints -A -l danm.k8s.io/managed-by=svcwatcher
{{- end }}

Remove it with deploy/uninstall of DANM's sources rather than with
`helm uninstall` alone: nodes keep what was put onto them (CNI configuration,
executables, links) until somebody tells them, and a node whose configuration
names DANM starts no Pods without it. deploy/uninstall removes that, all objects,
and this release with its namespace.
{{- if .Values.crds.keep }}

`helm uninstall` leaves the definitions of DanmNets and their like, and with them
all networks (crds.keep).
{{- else }}

`helm uninstall` alone does not get rid of the definitions as long as there are DanmNets:
what lets go of them is removed before. `deploy/uninstall --force` goes on from there.
{{- end }}
"""

_README: Final = """\
# danm

Written by `python -m chart` from [deploy](../../deploy) and
[build-support/chart](../../build-support/chart): the same objects as `kubectl kustomize deploy`.

Kubernetes {minimum} or later; Helm 4.

    kubectl create namespace {namespace}
    kubectl label namespace {namespace} {labels}
    helm install danm charts/danm -n {namespace} --set global.imageRegistry=registry.example

The namespace is {namespace} and no other: clients look for ipam-svc there. The label matters where
the cluster enforces a stricter Pod security standard; elsewhere `--create-namespace` makes the
namespace.

- A cluster that `kubectl apply -k deploy` has installed DANM on: add `--take-ownership
  --force-conflicts`; upgrades need the latter too, since what kubectl has set stays kubectl's.
- Addresses alone, for other CNI plugins: `--set ipamOnly=true`. Without endpoints of Services:
  `--set svcwatcher.enabled=false`; what svcwatcher has written before stays until
  `kubectl delete endpointslices -A -l \
endpointslice.kubernetes.io/managed-by=svcwatcher.danm.k8s.io`
  and `kubectl delete endpoints -A -l danm.k8s.io/managed-by=svcwatcher`.
- A cluster of one node: `--set oneNode=true`.
- Nodes that shall have DANM no more: once no Pod on them uses it, `kubectl -n {namespace} exec POD
  -- /app/bin/python -s -m danm_cni uninstall-node` in the Pod of danm-cni of each of them, and then
  narrow `danmCni.nodeSelector` or `danmCni.tolerations`. A node that is left out before keeps
  DANM's configuration, and starts no Pods; `deploy/uninstall` names it at the end, with the files
  to remove there.

## Versions

Each part has a version and a tag of its own. This chart's:

{versions}
Another tag of one part is `ipamSvc.image.tag` and its like; `global.imageTag` is one for all parts
that name none (a build of your own, say). Which versions go together, and in which order parts are
updated: [docs/compatibility.md](../../docs/compatibility.md).

## Remove it

    KUBECTL=kubectl deploy/uninstall

has each node remove its CNI configuration, executables and links while DANM is still there to do
so, then removes all objects, the definitions, and the namespace with the release in it. `helm
uninstall` alone removes the parts and leaves the nodes as they are: a node whose CNI configuration
names DANM starts no Pods until DANM is back. It leaves what svcwatcher has written for Services. It
leaves the definitions too (`crds.keep`), and with them everybody's networks and the record of who
holds which address: a release of the same name finds them again. With `crds.keep=false` they stay
in Terminating as long as there are DanmNets or records of addresses, since ipam-svc, which lets go
of these, is removed before; `deploy/uninstall --force` removes them then.

## Values

What is misspelt, or of another type, is refused by its name (values.schema.json). `null` takes a
default away. values.yaml has all defaults in full. Deployments' other settings (probes, ports,
grace periods, security contexts) belong to the programs and are no values.

| value | meaning | default |
| --- | --- | --- |
{general}
Of each part ({keys}), such as `ipamSvc.image.tag`:

| value | meaning | default |
| --- | --- | --- |
{parts}"""
