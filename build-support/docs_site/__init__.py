"""The documentation as a site: Sphinx' settings, and what it has to know of this repository."""
