"""ipam-svc's own certificate authorities. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority, as PEM texts."""

    certificate: str
    key: str

    def __repr__(self) -> str:
        """Keep the key out of logs."""
        return "Authority(...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorities:
    """The authority in use and its neighbours in time.

    Attributes:
        current: Signs serving certificates.
        next: Trusted already, and to sign later.
        previous: A certificate that is still trusted; empty when there is none.
    """

    current: Authority
    next: Authority | None = None
    previous: str = ""

    @property
    def trust(self) -> str:
        """Return all certificates to trust, as PEM."""
        following = self.next.certificate if self.next else ""
        return self.current.certificate + following + self.previous
