"""A host_device is read once, and anew after whatever may have changed it."""

import asyncio

from danm_api.names import InterfaceName
from danm_api.testing.hangs import HANGS_S
from netwatcher.links import ObservedLink
from netwatcher.parents import Parents
from netwatcher.testing.fake_kernel import FakeKernel

NAME = InterfaceName("ens3")


class _SlowKernel(FakeKernel):
    """Answers what it had when it was asked, once it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[InterfaceName] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def link_by_name(self, name: InterfaceName) -> ObservedLink | None:
        """Return the link of a name."""
        self.asked.append(name)
        link = await super().link_by_name(name)
        await self.answers.wait()
        return link


def _kernel() -> _SlowKernel:
    kernel = _SlowKernel()
    kernel.add_parent(NAME)
    return kernel


async def _being_read(kernel: _SlowKernel) -> tuple[Parents, asyncio.Task[ObservedLink | None]]:
    """Return what has asked a kernel that does not answer yet, and who waits for it."""
    parents = Parents(kernel)
    kernel.answers.clear()
    reading = asyncio.create_task(parents.read(NAME))
    async with asyncio.timeout(HANGS_S):
        while not kernel.asked:
            await asyncio.sleep(0)
    return parents, reading


async def test_it_is_read_once_until_it_changes() -> None:
    """Each link after the first asks nothing; after a change the next one does."""
    kernel = _kernel()
    parents = Parents(kernel)
    first = await parents.read(NAME)
    assert await parents.read(NAME) is first
    assert kernel.asked == [NAME]
    parents.forget(NAME)
    await parents.read(NAME)
    parents.forget_all()
    await parents.read(NAME)
    assert kernel.asked == [NAME] * 3


async def test_one_that_is_not_there_is_looked_for_each_time() -> None:
    """Nothing tells that it has not come since."""
    kernel = _SlowKernel()
    parents = Parents(kernel)
    assert await parents.read(NAME) is None
    kernel.add_parent(NAME)
    assert await parents.read(NAME) is not None


async def test_an_answer_that_a_change_has_overtaken_is_not_kept() -> None:
    """It may be of before the change: whoever looks next asks again."""
    kernel = _kernel()
    parents, reading = await _being_read(kernel)
    parents.forget(InterfaceName("veth1"))
    parents.forget(NAME)
    kernel.answers.set()
    await reading
    await parents.read(NAME)
    assert kernel.asked == [NAME] * 2


async def test_changes_of_others_do_not_matter() -> None:
    """While a hundred links are repaired, each of them changes."""
    kernel = _kernel()
    parents, reading = await _being_read(kernel)
    parents.forget(InterfaceName("vlan100"))
    kernel.answers.set()
    assert await reading is await parents.read(NAME)
    assert kernel.asked == [NAME]
