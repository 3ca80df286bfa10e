"""Other plugins in memory, and the devices that device plugins give."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec

from danm_api.errors import DelegateError
from danm_cni.concurrency import ChainTurns
from danm_cni.journal import PluginCall
from danm_cni.request import Verb
from danm_cni.testing.failures import Failures
from danm_cni.testing.fake_kernel import FakeKernel

# Gets the environment and the configuration of a plugin, as the executable does.
Fakeipam = Callable[[Mapping[str, str], bytes], Awaitable[bytes]]


class FakeDevices:
    """The kubelet: resource name -> ids, for every Pod."""

    def __init__(self) -> None:
        """Have given nothing."""
        self.given: dict[str, list[str]] = {}
        self.failures = Failures()

    async def devices(self, namespace: str, pod: str) -> Mapping[str, Sequence[str]]:
        """Return what was given."""
        await self.failures.meet("devices")
        return self.given


class FakePlugins:
    """Other plugins, which make an interface in the fake kernel.

    Attributes:
        fakeipam: What is asked for an address, and told of its end, where a configuration says so.
        strays: Containers whose ADD an earlier danmd started and whose plugin still runs: what a
            DEL removes it makes again.
    """

    def __init__(self, kernel: FakeKernel) -> None:
        """Make interfaces there."""
        self._kernel = kernel
        self.failures = Failures()
        self.fakeipam: Fakeipam | None = None
        self.alive: dict[tuple[str, str, str], bytes] = {}
        self.results: dict[str, bytes] = {}
        self.missing: set[str] = set()
        self.deleted_with: list[bytes] = []
        self.asked: list[tuple[Verb, PluginCall, Mapping[str, str]]] = []
        # What each plugin was last called with for a verb.
        self.environments: dict[tuple[str, Verb], Mapping[str, str]] = {}
        self.turns = ChainTurns(limit=1000)
        # Those of sandboxes that an earlier danmd has left running.
        self.strays: set[str] = set()

    def require(self, plugin: str, environment: Mapping[str, str]) -> None:
        """Refuse those that are planned to be missing."""
        if plugin in self.missing:
            raise DelegateError(f"plugin {plugin} is not in CNI_PATH", code=7)

    def turn(self, verb: Verb) -> AbstractAsyncContextManager[None]:
        """Return what waits for a chain's turn."""
        return self.turns.turn(verb)

    def have_report(self, plugin: str, *addresses: str, netns: str) -> None:
        """Have a plugin report an interface of the host, and eth0 with addresses."""
        self.results[plugin] = msgspec.json.encode(
            {
                "cniVersion": "1.1.0",
                "interfaces": [
                    {"name": "eth0", "mac": "02:00:00:00:00:09"},
                    {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": netns, "mtu": 1500},
                ],
                "ips": [
                    {"address": "192.0.2.1/24", "interface": 0},
                    *({"address": each, "interface": 1} for each in addresses),
                ],
            }
        )

    async def run(self, call: PluginCall, *, verb: Verb, environment: Mapping[str, str]) -> bytes:
        """Run; a failure planned as ``TYPE-half`` comes when the interface exists.

        Failures of other verbs are planned as ``TYPE-del``, ``TYPE-check`` and ``TYPE-gc``.
        """
        self.require(call.type, environment)
        self.environments[call.type, verb] = environment
        if verb in {Verb.CHECK, Verb.GC}:
            self.asked.append((verb, call, environment))
            await self.failures.meet(f"{call.type}-{verb.lower()}")
            return b""
        name, netns = environment["CNI_IFNAME"], environment["CNI_NETNS"]
        key = (call.type, environment["CNI_CONTAINERID"], name)
        if verb is Verb.DEL:
            await self.failures.meet(f"{call.type}-del")
            self.deleted_with.append(call.config)
            self.alive.pop(key, None)
            if netns and environment["CNI_CONTAINERID"] not in self.strays:
                self._kernel.namespaces[netns].interfaces.pop(name, None)
            await self._ask_fakeipam(verb, call, environment)
            return b""
        await self.failures.meet(call.type)
        self.alive[key] = call.config
        self._kernel.namespaces[netns].interfaces[name] = []
        answer = await self._ask_fakeipam(verb, call, environment)
        await self.failures.meet(f"{call.type}-half")
        return self.results.get(call.type) or self._result(call, name, netns, answer)

    async def end_strays(self, container_id: str) -> None:
        """End those that are planned to be left."""
        self.strays.discard(container_id)

    async def _ask_fakeipam(
        self, verb: Verb, call: PluginCall, environment: Mapping[str, str]
    ) -> bytes:
        ipam = msgspec.json.decode(call.config).get("ipam") or {}
        if self.fakeipam is None or ipam.get("type") != "fakeipam" or "network" not in ipam:
            return b""
        return await self.fakeipam({**environment, "CNI_COMMAND": verb}, call.config)

    def _result(self, call: PluginCall, name: str, netns: str, answer: bytes) -> bytes:
        config = msgspec.json.decode(call.config)
        ipam = config.get("ipam") or {}
        address = f"{ipam['ip']}/24" if "ip" in ipam else "203.0.113.5/24"
        if answer:
            address = msgspec.json.decode(answer)["ips"][0]["address"]
            self._kernel.namespaces[netns].interfaces[name] = [address]
        result = {
            "cniVersion": config["cniVersion"],
            "interfaces": [{"name": name, "sandbox": netns, "mac": "02:00:00:00:00:02"}],
            "ips": [{"version": "4", "address": address, "interface": 0}],
        }
        return msgspec.json.encode(result)
