"""docs/metrics.md, written from the metrics that the parts define, and Prometheus' conventions."""
