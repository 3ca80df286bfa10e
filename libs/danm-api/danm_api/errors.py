"""Every error that DANM raises on purpose.

DanmError(reason, transient)
├── InvalidObjectError            an object breaks a rule; carries the violations
│   ├── InvalidNetworkError       a DanmNet that may not be used
│   ├── InvalidAttachmentError    a Pod's annotation, or one entry of it
│   └── InvalidRequestError       a malformed request (HTTP body, CNI configuration)
├── NotFoundError
│   ├── NetworkNotFoundError      no such DanmNet in the Pod's namespace
│   ├── PodNotFoundError
│   ├── KindNotServedError        the API server has no such objects: no definition is there
│   └── ReservationNotFoundError
├── PoolExhaustedError            no address of the pool is free; proven by a consistent read
├── AddressTakenError             a static address belongs to another owner
├── StaleAttemptError             a later attempt of the same owner exists; carries its number
├── AccessDeniedError             authenticated, but not allowed
├── UnauthenticatedError
├── NetworkNotReadyError          (transient) not validated yet, or being deleted
├── IpamUnavailableError          (transient) no ipam-svc replica answered in time
├── ConflictError                 (transient) somebody else wrote the object first
├── OverloadedError               (transient) a bounded queue is full; says when to come back
│   └── RateLimitedError          (transient) this caller asks more than its share
├── DeadlineExceededError         (transient)
├── ApiError                      the Kubernetes API server refused; ``status`` is its HTTP code
│   └── ApiUnavailableError       (transient) no answer, 429 or 5xx
├── KubeletUnavailableError       (transient) the node's kubelet did not say which devices a Pod has
├── LinkSetupError                the kernel refused an interface, address, route or rule
│   └── HostLinkMissingError      the node has no link for a DanmNet's VLAN or VXLAN
├── DelegateError                 a delegate CNI plugin failed; carries its own code
└── SeveralErrors                 all that went wrong at once (SPEC C3)

``reason`` is one sentence that names the object, the rule and the way out. ``transient`` says that
the same request may succeed later without anybody changing it. Each edge has one table that maps
the tree (HTTP, CNI); a test walks all subclasses and finds them mapped.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One broken rule of one object.

    Attributes:
        field: Dotted path of the field at fault, such as ``spec.Options.cidr`` or ``[1].ip``; may
            be empty.
        rule: The rule of docs/specification.md, such as ``N1``.
        message: What is wrong and what to do, without the field's name.
        place: ``path`` or ``query`` when the field is a parameter of a request there; otherwise
            empty: it belongs to the object, or to the request's body.
    """

    field: str
    rule: str
    message: str
    place: str = ""

    def __str__(self) -> str:
        """Return the violation as a clause of a sentence."""
        return f"{self.field}: {self.message}" if self.field else self.message


class DanmError(Exception):
    """The root of the tree above.

    Attributes:
        nothing_taken: ipam-svc has answered that nothing was taken under the attempt that it
            refuses, nor will be.
    """

    transient: bool = False
    nothing_taken: bool = False

    def __init__(self, reason: str, *, transient: bool | None = None) -> None:
        """Keep the reason; ``transient`` overrides the class's own."""
        super().__init__(reason)
        self.reason = reason
        if transient is not None:
            self.transient = transient


class InvalidObjectError(DanmError):
    """An object breaks at least one rule."""

    def __init__(self, reason: str, *, violations: Sequence[Violation] = ()) -> None:
        """Keep the violations beside the reason."""
        super().__init__(reason)
        self.violations = tuple(violations)


class InvalidNetworkError(InvalidObjectError):
    """A DanmNet that may not be used."""


class InvalidAttachmentError(InvalidObjectError):
    """A Pod's annotation, or one entry of it, breaks a rule."""


class InvalidRequestError(InvalidObjectError):
    """A malformed request."""


class NotFoundError(DanmError):
    """What was named does not exist."""


class NetworkNotFoundError(NotFoundError):
    """No such DanmNet in the namespace."""


class PodNotFoundError(NotFoundError):
    """No such Pod, or another one of that name."""


class KindNotServedError(NotFoundError):
    """The API server has no objects of the kind: its definition is absent."""


class ReservationNotFoundError(NotFoundError):
    """The owner holds no such address."""


class PoolExhaustedError(DanmError):
    """No address of the pool is free."""


class AddressTakenError(DanmError):
    """A static address belongs to another owner."""


class StaleAttemptError(DanmError):
    """A later attempt of the same owner exists.

    Attributes:
        current_attempt: The number of that attempt; a retry must use a larger one.
    """

    def __init__(self, reason: str, *, current_attempt: int) -> None:
        """Keep the current attempt's number."""
        super().__init__(reason)
        self.current_attempt = current_attempt


class AccessDeniedError(DanmError):
    """The caller is known but may not do this."""


class UnauthenticatedError(DanmError):
    """The caller did not prove who it is."""


class NetworkNotReadyError(DanmError):
    """The DanmNet cannot be used yet, or not any more."""

    transient = True


class IpamUnavailableError(DanmError):
    """No ipam-svc replica answered in time."""

    transient = True


class ConflictError(DanmError):
    """Somebody else wrote the object first."""

    transient = True


class OverloadedError(DanmError):
    """A bounded queue is full.

    Attributes:
        retry_after_s: When it is worth asking again.
    """

    transient = True

    def __init__(
        self, reason: str, *, transient: bool | None = None, retry_after_s: float = 1.0
    ) -> None:
        """Keep when to come back; a second is long enough for our queues to shrink."""
        super().__init__(reason, transient=transient)
        self.retry_after_s = retry_after_s


class RateLimitedError(OverloadedError):
    """This caller asks more than its share; others are still served."""


class DeadlineExceededError(DanmError):
    """The work did not finish in time."""

    transient = True


class ApiError(DanmError):
    """The Kubernetes API server refused.

    Attributes:
        status: The HTTP status code; 0 when there was no answer.
    """

    def __init__(self, reason: str, *, status: int, transient: bool | None = None) -> None:
        """Keep the HTTP status."""
        super().__init__(reason, transient=transient)
        self.status = status


class ApiUnavailableError(ApiError):
    """The API server did not answer, or asked to come back later."""

    transient = True


class KubeletUnavailableError(DanmError):
    """The node's kubelet did not say which devices a Pod has."""

    transient = True


class LinkSetupError(DanmError):
    """The kernel refused an interface, address, route or rule."""


class HostLinkMissingError(LinkSetupError):
    """The node has no link for a VLAN or VXLAN; netwatcher has yet to make it, or cannot."""


class DelegateError(DanmError):
    """A delegate CNI plugin failed.

    Attributes:
        code: The plugin's own CNI error code, passed through.
    """

    def __init__(self, reason: str, *, code: int) -> None:
        """Keep the plugin's code."""
        super().__init__(reason)
        self.code = code


class SeveralErrors(DanmError):  # noqa: N818  (it is plural on purpose)
    """All that went wrong at once; transient only when each part is."""

    def __init__(self, errors: Sequence[DanmError]) -> None:
        """Join the reasons of at least one error."""
        super().__init__(
            "; ".join(error.reason for error in errors),
            transient=all(error.transient for error in errors),
        )
        self.errors = tuple(errors)


def leaves(error: BaseException) -> tuple[BaseException, ...]:
    """Return what went wrong, out of the exception groups that task groups raise."""
    if isinstance(error, BaseExceptionGroup):
        return tuple(leaf for part in error.exceptions for leaf in leaves(part))
    return (error,)
