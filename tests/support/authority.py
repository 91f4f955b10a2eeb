"""A server behind HTTP that wants a login, with its own authorization server, in the test's process.

Speaks as much MCP (2025-11-25) as a tool call needs, and as much OAuth as a client that registers itself. What it
answers may be changed while it runs.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import anyio
import httpx2
from anyio.abc import SocketAttribute, SocketStream

Json = dict[str, Any]
TOOL = {"name": "read", "description": "Reads.", "inputSchema": {"type": "object"}}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: str

    @property
    def path(self) -> str:
        """Without the query."""
        return urlsplit(self.target).path

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form, or of the query."""
        return dict(parse_qsl(self.body or urlsplit(self.target).query))


@dataclass
class Authority:
    """A running one."""

    port: int
    scope: str = "read"
    """What `tools/list` wants."""
    call_scope: str = "read"
    """What `tools/call` wants."""
    token_status: HTTPStatus = HTTPStatus.OK
    """With which the token endpoint answers."""
    registers: bool = True
    denies: bool = False
    """Whether its user says no."""
    repeats: bool = False
    """Whether a call's result holds the token that came with it."""
    leads_to: str | None = None
    """The authorization server that it names, if not itself."""
    granted: dict[str, str] = field(default_factory=dict[str, str])
    """Access tokens that are good, with their scope."""
    refreshable: dict[str, str] = field(default_factory=dict[str, str])
    """Refresh tokens that are good: each works once."""
    codes: dict[str, str] = field(default_factory=dict[str, str])
    asked: list[Asked] = field(default_factory=list[Asked])
    _made: int = 0

    @property
    def url(self) -> str:
        """The MCP endpoint."""
        return f"{self.issuer}/mcp"

    @property
    def issuer(self) -> str:
        """The authorization server."""
        return f"http://127.0.0.1:{self.port}"

    def at(self, path: str) -> list[Asked]:
        """What was asked of a path."""
        return [asked for asked in self.asked if asked.path == path]

    async def answer(self, stream: SocketStream) -> None:
        """One request."""
        async with stream:
            asked = await _read(stream)
            self.asked.append(asked)
            status, headers, body = self._answer(asked)
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            text = json.dumps(body).encode() if body is not None else b""
            head = f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: application/json\r\n{lines}"
            await stream.send(
                f"{head}Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode() + text
            )

    def _answer(self, asked: Asked) -> tuple[HTTPStatus, Mapping[str, str], Json | None]:
        match asked.path:
            case "/mcp":
                return self._mcp(asked)
            case "/.well-known/oauth-protected-resource/mcp":
                return _ok({"resource": self.url, "authorization_servers": [self.leads_to or self.issuer]})
            case "/.well-known/oauth-authorization-server":
                return _ok(self._metadata())
            case "/register" if self.registers:
                self._made += 1
                return _ok({**json.loads(asked.body), "client_id": f"client-{self._made}"})
            case "/authorize":
                return HTTPStatus.FOUND, {"Location": self._redirect(asked.form)}, None
            case "/token":
                return self._token(asked.form)
            case "/revoke":
                return _ok({})
            case _:
                return HTTPStatus.NOT_FOUND, {}, None

    def _metadata(self) -> Json:
        names = ("authorization", "token", "registration", "revocation")
        paths = ("authorize", "token", "register", "revoke")
        places = {
            f"{name}_endpoint": f"{self.issuer}/{path}" for name, path in zip(names, paths, strict=True)
        }
        return {"issuer": self.issuer, **places, "code_challenge_methods_supported": ["S256"]}

    def _redirect(self, query: Mapping[str, str]) -> str:
        if self.denies:
            answer = {"error": "access_denied", "error_description": "not today"}
        else:
            self._made += 1
            answer = {"code": f"code-{self._made}"}
            self.codes[answer["code"]] = query.get("scope", "")
        return f"{query['redirect_uri']}?{urlencode({**answer, 'state': query['state']})}"

    def _token(self, form: Mapping[str, str]) -> tuple[HTTPStatus, Mapping[str, str], Json | None]:
        if self.token_status is not HTTPStatus.OK:
            return self.token_status, {}, None
        match form:
            case {"grant_type": "authorization_code", "code": code} if code in self.codes:
                scope = self.codes.pop(code)
            case {"grant_type": "refresh_token", "refresh_token": token} if token in self.refreshable:
                scope = self.refreshable.pop(token)
            case {"grant_type": "client_credentials"}:
                scope = form.get("scope", "")
            case _:
                return HTTPStatus.BAD_REQUEST, {}, {"error": "invalid_grant"}
        return _ok(self.grant(scope, refreshable=form["grant_type"] != "client_credentials"))

    def grant(self, scope: str, *, refreshable: bool = True) -> Json:
        """A new token, as the token endpoint gives it."""
        self._made += 1
        token: Json = {"access_token": f"access-{self._made}", "token_type": "Bearer", "scope": scope}
        self.granted[token["access_token"]] = scope
        if refreshable:
            token["refresh_token"] = f"refresh-{self._made}"
            self.refreshable[token["refresh_token"]] = scope
        return token

    def _mcp(self, asked: Asked) -> tuple[HTTPStatus, Mapping[str, str], Json | None]:
        message: Json = json.loads(asked.body or "{}")
        wanted = self.call_scope if message.get("method") == "tools/call" else self.scope
        scope = self.granted.get(asked.headers.get("authorization", "").removeprefix("Bearer "))
        place = f'resource_metadata="{self.issuer}/.well-known/oauth-protected-resource/mcp"'
        if scope is None:
            return HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": f'Bearer {place}, scope="{wanted}"'}, None
        if not set(wanted.split()) <= set(scope.split()):
            error = f'Bearer error="insufficient_scope", scope="{wanted}", {place}'
            return HTTPStatus.FORBIDDEN, {"WWW-Authenticate": error}, None
        if asked.method != "POST":
            return HTTPStatus.METHOD_NOT_ALLOWED, {}, None
        if "id" not in message:
            return HTTPStatus.ACCEPTED, {}, None
        text = f"you are {asked.headers['authorization'].removeprefix('Bearer ')}" if self.repeats else "read"
        return _ok({"jsonrpc": "2.0", "id": message["id"], **_result(message["method"], text)})


@asynccontextmanager
async def open_authority() -> AsyncGenerator[Authority]:
    """One on a free port."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    authority = Authority(listener.extra(SocketAttribute.local_port))
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, authority.answer)
        yield authority
        tasks.cancel_scope.cancel()


async def browse(url: str) -> None:
    """A browser whose user does what is asked."""
    async with httpx2.AsyncClient() as client:
        redirect = await client.get(url)
        await client.get(redirect.headers["location"])


def _ok(body: Json) -> tuple[HTTPStatus, Mapping[str, str], Json]:
    return HTTPStatus.OK, {}, body


def _result(method: str, text: str) -> Json:
    match method:
        case "initialize":
            info = {"name": "authority", "version": "1"}
            said: Json = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
            return {"result": said}
        case "tools/list":
            return {"result": {"tools": [TOOL]}}
        case "tools/call":
            return {"result": {"content": [{"type": "text", "text": text}]}}
        case _:
            return {"error": {"code": -32601, "message": "not found"}}


async def _read(stream: SocketStream) -> Asked:
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += await stream.receive()
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += await stream.receive()
    method, target, _ = first.split(" ")
    return Asked(method, target, headers, body.decode())
