"""The CustomResourceDefinitions, described in Python and written to ``deploy/crds`` (SPEC A3)."""
