"""What the kernel refused, in words."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from danm_api.errors import LinkSetupError
from danm_api.netlink_socket import KernelRefusedError


@contextmanager
def told(what: str, hints: Mapping[int, str] = MappingProxyType({})) -> Iterator[None]:
    """Say what the kernel refused; the hints say more of some of its errors."""
    try:
        yield
    except KernelRefusedError as error:
        more = f"; {hints[error.number]}" if error.number in hints else ""
        raise LinkSetupError(f"{what}: {error}{more}") from error
    except OSError as error:
        raise LinkSetupError(f"{what}: {error.strerror or error}") from error


@contextmanager
def ignored(*numbers: int) -> Iterator[None]:
    """Take some refusals for success: what is wanted is so already."""
    try:
        yield
    except KernelRefusedError as error:
        if error.number not in numbers:
            raise
