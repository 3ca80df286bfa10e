"""Between the wire and the model: the only place that knows wire keys. Pure."""
