"""Who may: tokens to TokenReview, verbs to SubjectAccessReview, nodes to their own Pods.

A node's danmd proves its node by the claim in its token, and may only reserve for Pods bound to
that node, and what these Pods ask (DESIGN, "Who may"): a rooted node stays one node.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from danm_api.codec.attachment import decode_annotation
from danm_api.codec.pod import decode_pod
from danm_api.codec.review import (
    decode_access_review,
    decode_token_review,
    encode_access_review,
    encode_token_review,
)
from danm_api.errors import (
    AccessDeniedError,
    DanmError,
    InvalidAttachmentError,
    NotFoundError,
    PodNotFoundError,
    RateLimitedError,
    UnauthenticatedError,
)
from danm_api.ipam_api import AUDIENCE
from danm_api.kube.api import PODS, SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, KubeApi
from danm_api.model.attachment import Attachment, Dynamic
from danm_api.model.caller import Caller, PathPermission, Permission
from danm_api.model.danmnet import NetworkSpec
from danm_api.model.ip_block import ContainerOwner, ExternalOwner, PodOwner
from danm_api.model.pod import Pod
from danm_api.names import DEFAULT_NETWORK, GROUP, INTERFACES_ANNOTATION, Namespace
from ipam_svc.asked import interface_of, not_asked
from ipam_svc.expiring_cache import ExpiringCache
from ipam_svc.limits import Rate, RateLimiter
from ipam_svc.networks import Networks, refused_to_fakeipam
from ipam_svc.orders import ReleaseOrder, ReserveOrder
from ipam_svc.possession import Possessions

_RESOURCE: Final = "danmnets"
_SUBRESOURCE: Final = "reservations"

# A token or a permission that is taken away works for so long (DESIGN: "cached for seconds").
_LIFETIME_S: Final = 10.0
# The API server says no as well when it cannot tell, and does not say which of both it is.
_REFUSAL_S: Final = 1.0
# A cluster's nodes and tools, and room for those who guess.
_LIMIT: Final = 8192
# Longer than any token that the API server issues; more is not worth hashing.
_MAX_TOKEN_CHARACTERS: Final = 16_384

_SCHEME: Final = "bearer "

_NOT_A_NODES: Final = (
    "a node's danmd acts for Pods and containers only; act for an external owner with a token of"
    " your own"
)


class Access:
    """Authenticates callers and says what they may."""

    def __init__(
        self,
        api: KubeApi,
        *,
        networks: Networks,
        possessions: Possessions,
        danmd_user: str,
        reviews: Rate,
        clock: Callable[[], float],
    ) -> None:
        """Ask an API server.

        Args:
            api: For reviews and Pods.
            networks: For the pools that a re-asserted address must lie in.
            possessions: Judges what is claimed though nobody asks for it.
            danmd_user: The user name of every node's danmd.
            reviews: How many tokens of one address, permissions of one caller, and claims of one
                node that its Pods do not ask for, the API server is asked about.
            clock: Monotonic seconds.
        """
        self._api = api
        self._networks = networks
        self._possessions = possessions
        self._danmd_user = danmd_user
        self._token_reviews: RateLimiter[str] = RateLimiter(reviews, clock=clock)
        self._access_reviews: RateLimiter[tuple[str, str | None]] = RateLimiter(
            reviews, clock=clock
        )
        self._odd_claims: RateLimiter[str] = RateLimiter(reviews, clock=clock)
        self._callers = ExpiringCache[tuple[str | None, bytes], Caller | str](
            clock=clock,
            lifetime_s=_LIFETIME_S,
            limit=_LIMIT,
            brief_s=_REFUSAL_S,
            is_brief=lambda caller: isinstance(caller, str),
        )
        self._permissions = ExpiringCache[tuple[Caller, Permission | PathPermission], bool](
            clock=clock,
            lifetime_s=_LIFETIME_S,
            limit=_LIMIT,
            brief_s=_REFUSAL_S,
            is_brief=lambda allowed: not allowed,
        )

    async def authenticate(
        self, authorization: str, *, address: str, audience: str | None = AUDIENCE
    ) -> Caller:
        """Return who sends an Authorization header from an address.

        Args:
            authorization: The header's value.
            address: Where it comes from.
            audience: Whom the token must be made for; None for the API server.

        Raises:
            UnauthenticatedError: There is no token, or it proves nothing.
            RateLimitedError: The address sends too many tokens that are not known.
            ApiUnavailableError: The API server could not be asked.
        """
        token = authorization[len(_SCHEME) :].strip()
        if not authorization.lower().startswith(_SCHEME) or not token:
            raise UnauthenticatedError(
                f'send a token for {_of(audience)} as "Authorization: Bearer TOKEN"'
            )
        if not token.isascii():
            # Bytes that are no UTF-8 come as surrogates, which cannot be sent on.
            raise UnauthenticatedError("the token has other characters than ASCII has")
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise UnauthenticatedError("the token is too long to be one of Kubernetes")

        async def review() -> Caller | str:
            wait_s = self._token_reviews.take(address)
            if wait_s > 0:
                reason = f"{address} sends too many tokens that are not known yet; keep to one"
                raise RateLimitedError(reason, retry_after_s=wait_s)
            body = encode_token_review(token, audience=audience)
            answer = await self._api.create(TOKEN_REVIEWS, body)
            return decode_token_review(answer, audience=audience)

        caller = await self._callers.get((audience, sha256(token.encode()).digest()), review)
        if isinstance(caller, str):
            raise UnauthenticatedError(f"{caller}; a token for {_of(audience)} is needed")
        return caller

    async def may_reserve(self, caller: Caller, order: ReserveOrder) -> None:
        """Make sure that a caller may reserve what an order asks.

        Raises:
            AccessDeniedError: It may not.
            PodNotFoundError: There is no such Pod.
            InvalidAttachmentError: The Pod's annotation cannot be read.
            RateLimitedError: The node claims too much that its Pods do not ask for.
        """
        await self._require(caller, "create", order.namespace)
        owner = order.attachments[0].owner
        if caller.username != self._danmd_user:
            self._require_external(owner)
            return
        if isinstance(owner, ExternalOwner):
            raise AccessDeniedError(_NOT_A_NODES)
        self._require_node(caller, order.node)
        self._require_few_odd_claims(order.node)
        match owner:
            case ContainerOwner():
                if not order.via_fakeipam:
                    raise AccessDeniedError(
                        "a node reserves for a container that is no Pod through fakeipam only"
                    )
            case PodOwner():
                try:
                    pod = await self._own_pod(owner, order)
                except (AccessDeniedError, PodNotFoundError):
                    self._odd_claims.take(order.node)
                    raise
                if not order.via_fakeipam:
                    await self._require_asked(pod, order)
        if order.via_fakeipam:
            await self._require_admitted(order)

    async def may_release(self, caller: Caller, order: ReleaseOrder) -> None:
        """Make sure that a caller may release what an order names.

        Entries of other nodes are left alone by the release itself.

        Raises:
            AccessDeniedError: It may not.
        """
        await self._require(caller, "delete", order.namespace)
        if caller.username != self._danmd_user:
            self._require_external(order.owner)
        elif isinstance(order.owner, ExternalOwner):
            raise AccessDeniedError(_NOT_A_NODES)
        else:
            self._require_node(caller, order.node)

    async def may_read(self, caller: Caller, verb: str, namespace: Namespace) -> None:
        """Make sure that a caller may ``get`` or ``list`` reservations of a namespace.

        Raises:
            AccessDeniedError: It may not.
        """
        await self._require(caller, verb, namespace)

    async def may_read_node(self, caller: Caller, node: str) -> None:
        """Make sure that a caller may list what a node's Pods hold, in all namespaces.

        Raises:
            AccessDeniedError: It may not.
        """
        await self._require(caller, "list", Namespace(""))
        if caller.username == self._danmd_user:
            self._require_node(caller, node)

    async def may_get(self, caller: Caller, path: str) -> None:
        """Make sure that a caller may read a path that is no resource.

        Raises:
            AccessDeniedError: It may not.
        """
        if not await self._is_allowed(caller, PathPermission(verb="get", path=path)):
            raise AccessDeniedError(
                f'{caller.username} needs the verb "get" on the nonResourceURL {path}; bind a'
                " ClusterRole that grants it"
            )

    async def _require(self, caller: Caller, verb: str, namespace: Namespace) -> None:
        permission = Permission(
            verb=verb,
            group=GROUP,
            resource=_RESOURCE,
            subresource=_SUBRESOURCE,
            namespace=namespace,
        )
        if not await self._is_allowed(caller, permission):
            where = f'in the namespace "{namespace}"' if namespace else "in all namespaces"
            raise AccessDeniedError(
                f'{caller.username} needs the verb "{verb}" on {_RESOURCE}/{_SUBRESOURCE} of'
                f" {GROUP} {where}; bind a Role that grants it"
            )

    async def _is_allowed(self, caller: Caller, permission: Permission | PathPermission) -> bool:
        async def review() -> bool:
            wait_s = self._access_reviews.take((caller.username, caller.node))
            if wait_s > 0:
                reason = f"{caller.username} asks for too many namespaces at once; ask more slowly"
                raise RateLimitedError(reason, retry_after_s=wait_s)
            body = encode_access_review(caller, permission)
            return decode_access_review(await self._api.create(SUBJECT_ACCESS_REVIEWS, body))

        return await self._permissions.get((caller, permission), review)

    def _require_external(self, owner: PodOwner | ContainerOwner | ExternalOwner) -> None:
        if not isinstance(owner, ExternalOwner):
            raise AccessDeniedError(
                f"only a node's danmd ({self._danmd_user}) acts for Pods and containers; use an"
                ' owner of the kind "External"'
            )

    def _require_node(self, caller: Caller, node: str) -> None:
        if caller.node is None:
            raise AccessDeniedError(
                f"the token of {caller.username} is bound to no node; danmd needs a projected token"
                " of its own Pod (Kubernetes 1.32 or later)"
            )
        if caller.node != node:
            raise AccessDeniedError(
                f"the token of {caller.username} is bound to node {caller.node} and cannot act"
                f" for node {node}"
            )

    def _require_few_odd_claims(self, node: str) -> None:
        """Make sure that a node has not claimed too much that its Pods do not ask for.

        Before the API server is asked about its next claim: what it refuses is refused in vain.
        """
        wait_s = self._odd_claims.wait(node)
        if wait_s > 0:
            reason = f"node {node} claims too much that its Pods do not ask for; ask more slowly"
            raise RateLimitedError(reason, retry_after_s=wait_s)

    async def _own_pod(self, owner: PodOwner, order: ReserveOrder) -> Pod:
        where = f"Pod {owner.namespace}/{owner.name}"
        try:
            raw = await self._api.get(PODS, owner.name, namespace=owner.namespace)
        except NotFoundError as error:
            raise PodNotFoundError(f"there is no {where} (any more)") from error
        pod = decode_pod(raw)
        if owner.uid not in (pod.uid, pod.runtime_uid):
            raise PodNotFoundError(f"{where} with the uid {owner.uid} was replaced by another one")
        if pod.node != order.node:
            raise AccessDeniedError(f"{where} is bound to {pod.node}, not to node {order.node}")
        return pod

    async def _require_admitted(self, order: ReserveOrder) -> None:
        """Make sure that what a network gives through fakeipam no more is not somebody else's.

        That nothing new is given is the reservation's business.
        """
        for attachment in order.attachments:
            net = await self._networks.find(order.namespace, attachment.network)
            spec = net.status.applied
            if isinstance(spec, NetworkSpec) and not spec.fakeipam:
                refusal = refused_to_fakeipam(order.namespace, attachment.network)
                self._odd_claims.take(order.node)
                await self._possessions.require(net, order, attachment, asked=0, otherwise=refusal)

    async def _require_asked(self, pod: Pod, order: ReserveOrder) -> None:
        """Make sure that a Pod asks for each attachment of an order, or has it."""
        name = f"{pod.namespace}/{pod.name}"
        fault: DanmError | None = None
        entries: list[Attachment] = []
        try:
            entries += decode_annotation(pod.annotations.get(INTERFACES_ANNOTATION), pod=name)
        except InvalidAttachmentError as error:
            # It may have been another one when the Pod was made.
            fault = error
        if not entries and fault is None:
            entries = [Attachment(index=0, network=DEFAULT_NETWORK, ip=Dynamic(), ip6=Dynamic())]
        ordered = [
            (attachment, await self._networks.find(order.namespace, attachment.network))
            for attachment in order.attachments
        ]
        for attachment, net in not_asked(entries, ordered):
            self._odd_claims.take(order.node)
            await self._possessions.require(
                net,
                order,
                attachment,
                asked=sum(entry.network == attachment.network for entry in entries),
                otherwise=fault
                or AccessDeniedError(
                    f"Pod {name} does not ask for such an attachment to DanmNet"
                    f" {attachment.network} as interface {interface_of(attachment)}"
                ),
            )


def _of(audience: str | None) -> str:
    return "the API server" if audience is None else f"the audience {audience}"
