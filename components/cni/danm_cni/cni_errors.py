"""The one table from the error tree to the codes of CNI error objects. Pure.

Source: CNI specification 1.1.0, section 5 (codes below 100), and docs/specification.md C2.
"""

from enum import IntEnum
from typing import Final

from danm_api import errors
from danm_api.model.cni import CniError


class CniCode(IntEnum):
    """Codes of error objects: below 100 the specification's, from 100 on DANM's own."""

    INCOMPATIBLE_VERSION = 1
    UNSUPPORTED_FIELD = 2
    CONTAINER_UNKNOWN = 3
    INVALID_ENVIRONMENT = 4
    IO_FAILURE = 5
    UNDECODABLE = 6
    INVALID_CONFIG = 7
    TRY_AGAIN = 11
    NOT_AVAILABLE = 50
    NOT_AVAILABLE_LIMITED = 51
    POOL_EXHAUSTED = 101
    ADDRESS_TAKEN = 102
    NETWORK_NOT_FOUND = 103
    LINK_SETUP = 104
    INVALID_ATTACHMENT = 105
    POD_NOT_FOUND = 106
    NOT_FOUND = 107
    DENIED = 108
    API_REFUSED = 109
    DELEGATE = 110
    INTERNAL = 111


class CniRequestError(errors.InvalidRequestError):
    """A request that breaks the CNI specification.

    Attributes:
        code: The specification's code for it.
    """

    def __init__(self, reason: str, *, code: CniCode) -> None:
        """Keep the code beside the reason."""
        super().__init__(reason)
        self.code = code


# The most derived class that is listed wins. A test walks the tree and finds every class mapped.
_CODES: Final[dict[type[errors.DanmError], CniCode]] = {
    errors.DanmError: CniCode.INTERNAL,
    errors.InvalidObjectError: CniCode.INVALID_CONFIG,
    errors.InvalidNetworkError: CniCode.INVALID_CONFIG,
    errors.InvalidAttachmentError: CniCode.INVALID_ATTACHMENT,
    errors.InvalidRequestError: CniCode.INVALID_CONFIG,
    errors.NotFoundError: CniCode.NOT_FOUND,
    errors.NetworkNotFoundError: CniCode.NETWORK_NOT_FOUND,
    errors.PodNotFoundError: CniCode.POD_NOT_FOUND,
    errors.KindNotServedError: CniCode.NOT_FOUND,
    errors.ReservationNotFoundError: CniCode.NOT_FOUND,
    errors.PoolExhaustedError: CniCode.POOL_EXHAUSTED,
    errors.AddressTakenError: CniCode.ADDRESS_TAKEN,
    errors.StaleAttemptError: CniCode.TRY_AGAIN,
    errors.AccessDeniedError: CniCode.DENIED,
    errors.UnauthenticatedError: CniCode.DENIED,
    errors.NetworkNotReadyError: CniCode.TRY_AGAIN,
    errors.IpamUnavailableError: CniCode.TRY_AGAIN,
    errors.ConflictError: CniCode.TRY_AGAIN,
    errors.OverloadedError: CniCode.TRY_AGAIN,
    errors.RateLimitedError: CniCode.TRY_AGAIN,
    errors.DeadlineExceededError: CniCode.TRY_AGAIN,
    errors.ApiError: CniCode.API_REFUSED,
    errors.ApiUnavailableError: CniCode.TRY_AGAIN,
    errors.KubeletUnavailableError: CniCode.TRY_AGAIN,
    errors.LinkSetupError: CniCode.LINK_SETUP,
    errors.HostLinkMissingError: CniCode.LINK_SETUP,
    errors.DelegateError: CniCode.DELEGATE,
    errors.SeveralErrors: CniCode.INTERNAL,
}


def mapped_classes() -> frozenset[type[errors.DanmError]]:
    """Return the classes that the table names."""
    return frozenset(_CODES)


def code_of(error: errors.DanmError) -> int:
    """Return the code of an error object for an error.

    Several errors have one code when they agree; otherwise the first one that trying again does
    not heal decides. A delegate's own code passes through.
    """
    match error:
        case errors.DelegateError() | CniRequestError():
            return int(error.code)
        case errors.SeveralErrors():
            lasting = [each for each in error.errors if not each.transient]
            return code_of(lasting[0] if lasting else error.errors[0])
    return int(code_of_class(type(error)))


def code_of_class(kind: type[errors.DanmError]) -> CniCode:
    """Return the code of a class of errors that bring none of their own."""
    return next(_CODES[each] for each in kind.__mro__ if each in _CODES)


def error_object(error: errors.DanmError) -> CniError:
    """Return what a plugin prints for an error."""
    return CniError(code=code_of(error), message=error.reason)
