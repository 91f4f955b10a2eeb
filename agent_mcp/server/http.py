"""Our MCP server over streamable HTTP: `/mcp` behind its guards, `/healthz`, and uvicorn around them.

Knows no signal and no command line; whoever calls `serve` cancels it.
"""

import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio
import uvicorn
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from agent_mcp import version
from agent_mcp.config.schema import ServerSettings
from agent_mcp.config.serving import resource_url
from agent_mcp.server.app import McpServer
from agent_mcp.server.connections import impatient
from agent_mcp.server.guards import (
    HostGuard,
    RequestLimit,
    ScopeChallenge,
    allowed_names,
    json_rpc_error,
)
from agent_mcp.server.looking import METRICS_PATH, Looking, MetricsPage
from agent_mcp.server.oauth import OAuthTokens
from agent_mcp.server.presence import Presence
from agent_mcp.server.replicas import AnyReplica, Seal
from agent_mcp.server.tokens import ConfiguredTokens, FirstThatKnows
from agent_mcp.sessions.ports import Clock
from agent_mcp.sessions.waiting import Waits

PATH = "/mcp"
GRACE_SECONDS = 0.4
"""How long requests may go on once we are told to end. Turns are not lost with them."""
_GOODBYE_SECONDS = 0.2
"""How long the streams that are open then may take to be closed in order."""


@dataclass(frozen=True, slots=True)
class HttpServer:
    """What is served, and how."""

    server: McpServer
    settings: ServerSettings
    state_keys: Sequence[bytes]
    """Shared by all replicas; none: this process makes its own."""
    clock: Clock
    looking: Looking = field(default_factory=Looking)
    waits: Waits = field(default_factory=Waits)
    """Of the calls that wait for turns: they end before we do, so that their hosts are told how the turn stands."""

    async def serve(self, listener: socket.socket, *, host: str) -> None:
        """Serve on a listening socket, bound to `host`, until cancelled."""
        ending = anyio.Event()
        connected, detached = self._managers()
        server = _Uvicorn(self._uvicorn_config(self._asgi(host, ending, connected, detached)))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.run_to_end, listener, (connected, detached))
            try:
                await anyio.sleep_forever()
            finally:
                self.waits.end()
                server.should_exit = True
                # Shielded: uvicorn must see the flag and close its connections before the rest goes.
                with anyio.move_on_after(GRACE_SECONDS, shield=True):
                    await server.ended.wait()
                ending.set()
                with anyio.move_on_after(_GOODBYE_SECONDS + 0.1, shield=True):
                    await server.ended.wait()
                server.scope.cancel()

    def _asgi(
        self,
        host: str,
        ending: anyio.Event,
        connected: StreamableHTTPSessionManager,
        detached: StreamableHTTPSessionManager,
    ) -> ASGIApp:
        """The application, whose streams end with `ending`; the managers must run as long as it does.

        Host and Origin come first: a page in a browser must learn nothing, not even a 401.
        """
        endpoint: ASGIApp = AnyReplica(
            connected.asgi_app,
            detached.asgi_app,
            seal=Seal(self.state_keys),
            max_body_bytes=self.settings.max_request_bytes,
        )
        if per_minute := self.settings.limits.requests_per_minute:
            endpoint = RequestLimit(endpoint, per_minute, self.clock)
        allowed = allowed_names(host, hosts=self._own_hosts(), origins=self.settings.allowed_origins)
        routes = [
            Route(PATH, endpoint=HostGuard(self._asking_who(Presence(endpoint, ending)), allowed)),
            Route("/healthz", endpoint=_health, methods=["GET"]),
            *self._metadata_routes(),
            *self._metrics_routes(allowed),
        ]
        app = Starlette(routes=routes)
        return self.looking.around(app) if self.looking.around else app

    def _metrics_routes(self, allowed: TransportSecuritySettings) -> Sequence[Route]:
        """Figures, for those who may use the server."""
        if self.looking.page is None:
            return ()
        page = HostGuard(self._asking_who(MetricsPage(self.looking.page)), allowed)
        return [Route(METRICS_PATH, endpoint=page)]

    def _managers(self) -> tuple[StreamableHTTPSessionManager, StreamableHTTPSessionManager]:
        """With the old era's connections, and without; the newer era has none and is the same in both."""
        limit = self.settings.max_request_bytes
        connected = StreamableHTTPSessionManager(
            self.server,
            max_request_body_size=limit,
            session_idle_timeout=self.settings.connection_idle_seconds,
            max_sessions=self.settings.max_connections,
        )
        return connected, StreamableHTTPSessionManager(
            self.server, stateless=True, max_request_body_size=limit
        )

    def _own_hosts(self) -> Sequence[str]:
        oauth = self.settings.oauth
        own = [AnyHttpUrl(resource_url(oauth)).host or ""] if oauth is not None else []
        return [*self.settings.allowed_hosts, *own]

    def _asking_who(self, endpoint: ASGIApp) -> ASGIApp:
        """The endpoint for those alone who can say who they are, if the config asks for it."""
        verifiers = self._verifiers()
        if not verifiers:
            return endpoint
        oauth = self.settings.oauth
        metadata_url = build_resource_metadata_url(AnyHttpUrl(resource_url(oauth))) if oauth else None
        scopes = list(oauth.scopes if oauth else ())
        guarded = ScopeChallenge(RequireAuthMiddleware(endpoint, scopes, metadata_url), scopes)
        return AuthenticationMiddleware(
            AuthContextMiddleware(guarded),
            backend=BearerAuthBackend(FirstThatKnows(verifiers)),
            on_error=_issuer_unavailable,
        )

    def _verifiers(self) -> Sequence[TokenVerifier]:
        tokens, oauth = self.settings.tokens, self.settings.oauth
        verifiers: list[TokenVerifier] = []
        if tokens:
            verifiers.append(ConfiguredTokens(tokens, oauth.scopes if oauth else ()))
        if oauth is not None:
            verifiers.append(OAuthTokens(oauth, clock=self.clock))
        return verifiers

    def _metadata_routes(self) -> Sequence[Route]:
        """Where clients learn which authorization server to go to (RFC 9728)."""
        oauth = self.settings.oauth
        if oauth is None:
            return ()
        return create_protected_resource_routes(
            resource_url=AnyHttpUrl(resource_url(oauth)),
            authorization_servers=[AnyHttpUrl(oauth.issuer)],
            scopes_supported=list(oauth.scopes) or None,
            resource_name="agent-mcp",
        )

    def _uvicorn_config(self, app: ASGIApp) -> uvicorn.Config:
        config = uvicorn.Config(
            app,
            http=impatient(self.settings.request_seconds),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=self.settings.max_connections,
            timeout_keep_alive=max(1, round(self.settings.keep_alive_seconds)),
        )
        # Declared as whole seconds, but it only bounds a wait.
        config.timeout_graceful_shutdown = GRACE_SECONDS + _GOODBYE_SECONDS  # pyright: ignore[reportAttributeAccessIssue]
        return config


async def _health(request: Request) -> Response:
    """For whoever watches over processes; says nothing that a stranger may not know."""
    return JSONResponse({"status": "ok", "version": version()})


def _issuer_unavailable(connection: HTTPConnection, error: Exception) -> Response:
    """Not the caller's fault: a 401 would send it for a new token."""
    message = "The authorization server's keys can't be had now: try again soon."
    return json_rpc_error(503, message, headers={"Retry-After": "10"})


class _Uvicorn(uvicorn.Server):
    """Leaves signals to whoever runs us, and says when it has ended."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended = anyio.Event()
        # Shielded: cancelled from outside it would drop its connections without a word, and complain of it.
        self.scope = anyio.CancelScope(shield=True)

    async def run_to_end(
        self,
        listener: socket.socket,
        managers: tuple[StreamableHTTPSessionManager, StreamableHTTPSessionManager],
    ) -> None:
        """Serve until `should_exit`, or until `scope` is cancelled; the managers run as long."""
        connected, detached = managers
        try:
            with self.scope:
                async with connected.run(), detached.run():
                    await self.serve([listener])
        finally:
            self.ended.set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """None."""
        yield
