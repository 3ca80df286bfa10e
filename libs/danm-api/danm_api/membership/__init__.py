"""Which Pods a Service finds, and at which addresses (SPEC S1). Pure."""
