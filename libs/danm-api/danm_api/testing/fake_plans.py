"""What a test has planned for the next calls of ``FakeKube``: failures, lost answers, stalls."""

import asyncio
from dataclasses import dataclass
from typing import Literal

from danm_api.kube.api import Resource

# "end": the removal of a deleted object whose last finalizer a replace or a patch takes away.
# "page": each page of a list but the first.
Method = Literal["get", "list", "page", "watch", "create", "replace", "patch", "delete", "end"]


class Gate:
    """One held call: it waits at the gate until it is opened.

    Attributes:
        reached: Set when the call has arrived.
    """

    def __init__(self) -> None:
        """Start closed."""
        self.reached = asyncio.Event()
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Let the call go on."""
        self._opened.set()

    async def pass_through(self) -> None:
        """Wait until the gate is open."""
        self.reached.set()
        await self._opened.wait()


@dataclass(kw_only=True, slots=True)
class Plan:
    """What shall happen to the next calls of one method."""

    method: Method
    resource: Resource | None
    took_effect: bool
    times: int
    error: Exception | None = None
    gate: Gate | None = None

    async def carry_out(self) -> None:
        """Wait at the gate, or raise the error."""
        if self.gate is not None:
            await self.gate.pass_through()
        if self.error is not None:
            raise self.error


class Plans:
    """The plans that wait for their calls, oldest first."""

    def __init__(self) -> None:
        """Start without plans."""
        self._plans: list[Plan] = []

    def add(self, plan: Plan) -> None:
        """Append a plan."""
        self._plans.append(plan)

    def forget_failures(self) -> None:
        """Drop the plans with errors."""
        self._plans = [plan for plan in self._plans if plan.error is None]

    async def enter(self, method: Method, resource: Resource) -> Plan | None:
        """Carry out the plan of this call, or return it when it concerns the call's end."""
        for plan in self._plans:
            if plan.method == method and plan.resource in (None, resource):
                plan.times -= 1
                if plan.times == 0:
                    self._plans.remove(plan)
                if plan.took_effect:
                    return plan
                await plan.carry_out()
                return None
        return None


async def leave(plan: Plan | None) -> None:
    """Carry out the plan that ``Plans.enter`` returned, after the call took effect."""
    if plan is not None:
        await plan.carry_out()
