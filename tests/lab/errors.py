"""What can go wrong with a lab.

LabError
+-- MissingToolError    a program is absent and could not be installed
+-- BuildError          a component did not build; its log says why
+-- StartError          a process, a guest or the cluster did not come up
+-- NotUpError          the command needs a lab that is up
"""


class LabError(Exception):
    """A sentence for the person at the terminal: what failed and what to do."""


class MissingToolError(LabError):
    """A program is absent and could not be installed."""


class BuildError(LabError):
    """A component did not build."""


class StartError(LabError):
    """A process, a guest or the cluster did not come up."""


class NotUpError(LabError):
    """The command needs a lab that is up."""
