"""Refusals of the kernel, as people read them."""

import errno
import os
from contextlib import AbstractContextManager, nullcontext

import pytest

from danm_api.errors import LinkSetupError
from danm_api.netlink_socket import KernelRefusedError
from danm_cni.kernel_errors import ignored, told

_HINTS = {errno.EBUSY: "it is a port of a bridge", errno.EADDRINUSE: "another has its MAC"}


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        pytest.param(
            KernelRefusedError(errno.EINVAL),
            "interface ext0: Invalid argument",
            id="without a hint",
        ),
        pytest.param(
            KernelRefusedError(errno.EINVAL, "bad mode"),
            "interface ext0: Invalid argument (bad mode)",
            id="with the kernel's own words",
        ),
        pytest.param(
            KernelRefusedError(errno.EBUSY),
            "interface ext0: Device or resource busy; it is a port of a bridge",
            id="with the hint of its number",
        ),
        pytest.param(
            OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN)),
            "interface ext0: Network is down",
            id="of a system call",
        ),
        pytest.param(OSError("no number"), "interface ext0: no number", id="without a number"),
    ],
)
def test_what_the_kernel_refused_is_told(error: Exception, sentence: str) -> None:
    """What was tried, why it was refused, and what a person may look at; the cause is kept."""
    with pytest.raises(LinkSetupError) as caught, told("interface ext0", _HINTS):
        raise error
    assert caught.value.reason == sentence
    assert caught.value.__cause__ is error


def test_a_refusal_without_hints_is_told() -> None:
    """Most steps have none."""
    with pytest.raises(LinkSetupError, match="^a step: Device or resource busy$"), told("a step"):
        raise KernelRefusedError(errno.EBUSY)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(LinkSetupError("the Pod has no interface ext0"), id="told already"),
        pytest.param(KeyError("x"), id="an error in danmd"),
    ],
)
def test_what_the_kernel_did_not_refuse_passes(error: Exception) -> None:
    """It says itself what is wrong."""
    with pytest.raises(type(error)) as caught, told("interface ext0", _HINTS):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        pytest.param(errno.ENOENT, nullcontext(), id="the first"),
        pytest.param(errno.ENODEV, nullcontext(), id="the second"),
        pytest.param(errno.EPERM, pytest.raises(KernelRefusedError, match="permitted"), id="other"),
    ],
)
def test_some_refusals_are_success(number: int, outcome: AbstractContextManager[object]) -> None:
    """Only of the numbers that are named: the link, the rule or the address is as it should be."""
    with outcome, ignored(errno.ENOENT, errno.ENODEV):
        raise KernelRefusedError(number)


def test_an_error_of_a_system_call_is_never_ignored() -> None:
    """It tells of the conversation with the kernel, not of what is there."""
    with pytest.raises(OSError, match="No such device"), ignored(errno.ENODEV):
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))


def test_what_works_is_no_matter_of_words() -> None:
    """Nothing is raised, and what comes after is done."""
    done = []
    with told("interface ext0"), ignored(errno.ENODEV):
        done.append(1)
    assert done == [1]
