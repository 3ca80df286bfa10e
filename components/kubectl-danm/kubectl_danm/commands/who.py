"""``who``: whose an address is, or why it is nobody's."""

from ipaddress import ip_address

import click

from danm_api.codec.danmep import decode_danmep
from danm_api.codec.ip_block import block_cidr_of, block_name, decode_ip_block
from danm_api.errors import ApiError, NotFoundError
from danm_api.kube.api import DANMEPS, DANMIPBLOCKS
from danm_api.model.addresses import IPAddress
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import DanmNet
from danm_api.model.ip_block import IPBlock
from kubectl_danm import reading
from kubectl_danm.connection import Session, World
from kubectl_danm.options import Options, with_options
from kubectl_danm.reading import Notes, read_all
from kubectl_danm.view.refusals import explain, is_refusal
from kubectl_danm.view.report import Report
from kubectl_danm.view.who import covers, has_address, report_who, view_who


class AddressType(click.ParamType[IPAddress]):
    """An IPv4 or IPv6 address, without prefix length."""

    name = "address"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> IPAddress:
        """Read it; a prefix length that was copied along is passed over."""
        text = str(value).partition("/")[0]
        try:
            return ip_address(text)
        except ValueError:
            self.fail(f"{value!r} is no address; write one such as 10.0.0.7 or 2001:db8::7", param)


@click.command(name="who")
@click.argument("address", type=AddressType())
@with_options(namespace=True, all_namespaces=True)
def who(options: Options, *, address: IPAddress) -> None:
    """Show whose an ADDRESS is: which Pod or external owner, where, and since when.

    Looks in all namespaces; where you may not, in the one of the context. Ends with status 1 when
    nobody has the address; the answer then says which networks could give it.
    """
    world, scope = options.world, options.scope

    async def ask(session: Session) -> Report:
        if scope.namespace is not None:
            return await _look(world, session, address, scope.namespace, Notes())
        try:
            return await _look(world, session, address, None, Notes())
        except ApiError as error:
            if scope.all_namespaces or not is_refusal(error):
                raise
            notes = Notes()
            one = session.namespace
            notes.add(f"Only namespace {one} was looked at. {explain(error)}")
            return await _look(world, session, address, one, notes)

    options.answer(ask)


async def _look(
    world: World, session: Session, address: IPAddress, namespace: str | None, notes: Notes
) -> Report:
    networks = await reading.networks(session.api, notes, namespace=namespace)
    blocks = [
        block
        for net in networks
        if covers(net, address) and (block := await _block(session, net, address)) is not None
    ]
    if not any(entry.address == address for block in blocks for entry in block.entries):
        # Of a DanmNet that is gone, or whose cidr has changed, the name is not known.
        blocks = await _blocks(session, notes, address, namespace)
    endpoints = await _endpoints(session, notes, address, namespace)
    found = view_who(address, networks, blocks, endpoints, now=world.now())
    return report_who(found, notes=notes.all())


async def _block(session: Session, net: DanmNet, address: IPAddress) -> IPBlock | None:
    """Return the one block of a network that may hold an address, if it exists."""
    name = block_name(net.uid, block_cidr_of(address))
    try:
        return decode_ip_block(await session.api.get(DANMIPBLOCKS, name, namespace=net.namespace))
    except NotFoundError:
        return None


async def _blocks(
    session: Session, notes: Notes, address: IPAddress, namespace: str | None
) -> list[IPBlock]:
    """Return all blocks that an address lies in, whatever their network."""
    return await read_all(
        session.api,
        DANMIPBLOCKS,
        decode_ip_block,
        notes,
        namespace=namespace,
        keep=lambda block: address in block.cidr,
    )


async def _endpoints(
    session: Session, notes: Notes, address: IPAddress, namespace: str | None
) -> list[DanmEp]:
    """Return the DanmEps that have an address; the others are read and not kept."""
    return await read_all(
        session.api,
        DANMEPS,
        decode_danmep,
        notes,
        namespace=namespace,
        keep=lambda endpoint: has_address(endpoint, address),
    )
