"""Agreeing with a server on the protocol: `initialize` up to 2025-11-25, `server/discover` from 2026-07-28 on.

The outcome is a `Channel`, over which requests are made in the agreed dialect. Wire formats:
https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle, and `mcp.client.session` of the SDK, from
which the envelope of the newer dialect is taken.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, cast

import anyio
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    encode_header_value,
)
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    UNSUPPORTED_PROTOCOL_VERSION,
)
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
    MODERN_PROTOCOL_VERSIONS,
)

from agent_mcp import version
from agent_mcp.downstream.faults import NEEDS_LOGIN, NOT_SENT, ConnectionLostError, RpcError, UnavailableError
from agent_mcp.downstream.inbound import Responder
from agent_mcp.downstream.peer import OnProgress, Peer
from agent_mcp.downstream.wire import JsonObject

Era = Literal["auto", "legacy", "modern"]

NO_OFFERS: Mapping[str, Any] = MappingProxyType({})

_PROBE_SECONDS = 2.0
"""How long `server/discover` goes unanswered before `initialize` is sent after it.

Servers that ignore what they don't know never answer it; slow ones answer late, and are still believed.
"""


@dataclass(frozen=True, slots=True)
class Channel:
    """A peer and the dialect agreed with it."""

    peer: Peer
    era: Literal["legacy", "modern"]
    protocol_version: str
    capabilities: Mapping[str, Any]
    offers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What we declare that we can do for the server."""
    instructions: str = ""
    """What the server says for whoever uses its tools."""
    server_name: str = ""
    """What the server calls itself; empty where it does not say."""

    async def request(
        self,
        method: str,
        params: JsonObject,
        *,
        timeout_seconds: float | None = None,
        on_progress: OnProgress | None = None,
        responder: Responder | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> JsonObject:
        """As `Peer.request`, in this dialect. `params` is ours to complete; `headers` come on top of the dialect's."""
        if self.era == "modern":
            _add_envelope(params, self.protocol_version, self.offers)
        return await self.peer.request(
            method,
            params,
            timeout_seconds=timeout_seconds,
            on_progress=on_progress,
            responder=responder,
            headers=self._headers(method, params, headers) if self.peer.wire.takes_headers else None,
        )

    def has_list_changes(self) -> bool:
        """Whether the server says that it tells of changes to its tool list."""
        tools = self.capabilities.get("tools")
        return isinstance(tools, dict) and cast("JsonObject", tools).get("listChanged") is True

    def _headers(self, method: str, params: JsonObject, more: Mapping[str, str] | None) -> dict[str, str]:
        headers = {MCP_PROTOCOL_VERSION_HEADER: self.protocol_version}
        if self.era == "legacy":
            return headers
        headers[MCP_METHOD_HEADER] = method
        if method == "tools/call":
            headers[MCP_NAME_HEADER] = encode_header_value(params["name"])
        return headers | dict(more or {})


async def negotiate(peer: Peer, era: Era, offers: Mapping[str, Any] = NO_OFFERS) -> Channel:
    """Agree on a dialect; `offers` are the capabilities that we declare.

    Raises:
        RpcError: the server refused.
        UnavailableError: it speaks no version that we speak.
        ConnectionLostError: it left.
    """
    match era:
        case "legacy":
            return await _initialize(peer, offers)
        case "modern":
            return await _discover(peer, offers)
        case "auto":
            return await _negotiate_either(peer, offers)


class _Try:
    """One way to agree, running beside another."""

    def __init__(
        self, way: Callable[[Peer, Mapping[str, Any]], Awaitable[Channel]], offers: Mapping[str, Any]
    ) -> None:
        self.channel: Channel | None = None
        self.error: RpcError | UnavailableError | ConnectionLostError | None = None
        self.done = anyio.Event()
        self._way = way
        self._offers = offers

    async def run(self, peer: Peer, settled: anyio.Event, *, decides: bool) -> None:
        """Try; `settled` is set by success, and by failure too if this one `decides`."""
        try:
            self.channel = await self._way(peer, self._offers)
        except (RpcError, UnavailableError, ConnectionLostError) as error:
            self.error = error
        self.done.set()
        if decides or self.channel is not None:
            settled.set()


async def _negotiate_either(peer: Peer, offers: Mapping[str, Any]) -> Channel:
    """Probe for the newer dialect; what does not answer it in time, or not well, is asked in the older one."""
    probe, hello = _Try(_discover, offers), _Try(_initialize, offers)
    settled = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: probe.run(peer, settled, decides=False))
        with anyio.move_on_after(_PROBE_SECONDS):
            await probe.done.wait()
        if probe.channel is None and not _is_final(probe.error):
            tasks.start_soon(lambda: hello.run(peer, settled, decides=True))
            await settled.wait()
        tasks.cancel_scope.cancel()
    # A late answer to the probe comes first: such a server has locked the connection to the newer dialect.
    if channel := probe.channel or hello.channel:
        return channel
    if isinstance(probe.error, RpcError) and probe.error.code == NEEDS_LOGIN:
        # What came of the older greeting without a login says nothing.
        raise probe.error
    raise hello.error or probe.error or ConnectionLostError


def _is_final(error: Exception | None) -> bool:
    """Whether the older dialect would fare no better."""
    return isinstance(error, ConnectionLostError) or (isinstance(error, RpcError) and error.code == NOT_SENT)


async def _discover(peer: Peer, offers: Mapping[str, Any]) -> Channel:
    try:
        answer = await _ask_for_versions(peer, LATEST_MODERN_VERSION, offers)
    except RpcError as error:
        # A server may refuse a version and name those it takes, ours among them: then it is asked once more.
        again = (
            _mutual(_versions(error.data, "supported")) if error.code == UNSUPPORTED_PROTOCOL_VERSION else []
        )
        if not again:
            raise
        answer = await _ask_for_versions(peer, again[-1], offers)
    versions = _versions(answer, "supportedVersions")
    mutual = _mutual(versions)
    if not mutual:
        raise UnavailableError(f"it speaks none of our protocol versions, but {versions}")
    return Channel(
        peer, "modern", mutual[-1], _capabilities(answer), offers, _instructions(answer), _server_name(answer)
    )


async def _ask_for_versions(peer: Peer, protocol_version: str, offers: Mapping[str, Any]) -> JsonObject:
    params: JsonObject = {}
    _add_envelope(params, protocol_version, offers)
    headers = {MCP_PROTOCOL_VERSION_HEADER: protocol_version, MCP_METHOD_HEADER: "server/discover"}
    return await peer.request("server/discover", params, headers=headers, cancellable=False)


def _versions(data: object, key: str) -> list[Any]:
    versions = cast("JsonObject", data).get(key) if isinstance(data, dict) else None
    return cast("list[Any]", versions) if isinstance(versions, list) else []


def _mutual(versions: list[Any]) -> list[str]:
    """Those of the newer dialect that we speak too, the oldest first."""
    return [known for known in MODERN_PROTOCOL_VERSIONS if known in versions]


async def _initialize(peer: Peer, offers: Mapping[str, Any]) -> Channel:
    params = {
        "protocolVersion": LATEST_HANDSHAKE_VERSION,
        "capabilities": dict(offers),
        "clientInfo": _client_info(),
    }
    answer = await peer.request("initialize", params, cancellable=False)
    chosen = answer.get("protocolVersion")
    if not isinstance(chosen, str) or chosen not in HANDSHAKE_PROTOCOL_VERSIONS:
        raise UnavailableError(f"it speaks protocol version {chosen!r}, which we do not")
    await peer.notify("notifications/initialized", headers={MCP_PROTOCOL_VERSION_HEADER: chosen})
    return Channel(
        peer, "legacy", chosen, _capabilities(answer), offers, _instructions(answer), _server_name(answer)
    )


def _instructions(answer: JsonObject) -> str:
    said = answer.get("instructions")
    return said if isinstance(said, str) else ""


def _server_name(answer: JsonObject) -> str:
    """In the older dialect a field of the answer, in the newer one a part of its `_meta`."""
    match answer:
        case {"serverInfo": {"name": str(name)}}:
            return name
        case {"_meta": {"io.modelcontextprotocol/serverInfo": {"name": str(name)}}}:
            return name
        case _:
            return ""


def _add_envelope(params: JsonObject, protocol_version: str, offers: Mapping[str, Any]) -> None:
    """What each request of the newer dialect carries, there being no handshake."""
    meta: JsonObject = params.setdefault("_meta", {})
    meta[PROTOCOL_VERSION_META_KEY] = protocol_version
    meta[CLIENT_INFO_META_KEY] = _client_info()
    meta[CLIENT_CAPABILITIES_META_KEY] = dict(offers)


def _client_info() -> JsonObject:
    return {"name": "agent-mcp", "version": _VERSION}


def _capabilities(answer: JsonObject) -> Mapping[str, Any]:
    capabilities = answer.get("capabilities")
    return cast("JsonObject", capabilities) if isinstance(capabilities, dict) else {}


_VERSION = version()
