"""The Helm chart ``charts/danm``, written from ``deploy/`` and the types of its values."""
