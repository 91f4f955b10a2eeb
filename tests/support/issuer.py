"""An authorization server as far as we need one: its metadata, its keys, and tokens signed with them."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import anyio
import jwt
from anyio.abc import SocketAttribute, SocketStream
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

AUDIENCE = "https://mcp.example.org/mcp"


def new_key() -> rsa.RSAPrivateKey:
    """A private key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Issuer:
    """A running one; what it answers may be changed while it runs."""

    port: int
    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=lambda: {"first": new_key()})
    up: bool = True
    named: str | None = None
    """The issuer that its metadata claims to be, if it lies."""
    asked: list[str] = field(default_factory=list[str])

    @property
    def url(self) -> str:
        """The issuer."""
        return f"http://127.0.0.1:{self.port}/tenant"

    def config(self, **changes: Any) -> dict[str, Any]:
        """`server.oauth` for it."""
        return {"issuer": self.url, "audience": AUDIENCE, "scopes": ["agents"], **changes}

    def token(self, key: str = "first", *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A good token, but for the claims given; None takes a claim out."""
        now = int(time.time())
        whole = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ada",
            "scope": "agents",
            "iat": now,
            "exp": now + 300,
        }
        said = {name: value for name, value in {**whole, **claims}.items() if value is not None}
        return jwt.encode(said, self.keys[key], "RS256", headers={"kid": key, **(header or {})})

    def unsigned(self) -> str:
        """The same with `alg: none`."""
        payload = self.token().split(".")[1]
        return f"{_encoded({'alg': 'none', 'typ': 'JWT', 'kid': 'first'})}.{payload}."

    def signed_with_the_public_key(self) -> str:
        """The same as HS256, with what everybody has as its secret."""
        payload = self.token().split(".")[1]
        signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': 'first'})}.{payload}"
        public = self.keys["first"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        mark = hmac.new(public, signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{base64.urlsafe_b64encode(mark).rstrip(b'=').decode()}"

    def document(self, path: str) -> dict[str, Any] | None:
        """What lies at a path."""
        match path:
            case "/.well-known/oauth-authorization-server/tenant":
                return {"issuer": self.named or self.url, "jwks_uri": f"http://127.0.0.1:{self.port}/keys"}
            case "/keys":
                shared = {"kty": "oct", "kid": "shared", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ", "alg": "HS256"}
                return {"keys": [shared, *(_jwk(name, key) for name, key in self.keys.items())]}
            case _:
                return None

    async def answer(self, stream: SocketStream) -> None:
        """One request."""
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive()
            path = head.split(b" ")[1].decode()
            self.asked.append(path)
            document = self.document(path) if self.up else None
            status = (
                HTTPStatus.OK if document else HTTPStatus.NOT_FOUND if self.up else HTTPStatus.BAD_GATEWAY
            )
            body = json.dumps(document or {}).encode()
            await stream.send(
                f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )


@asynccontextmanager
async def open_issuer() -> AsyncGenerator[Issuer]:
    """One on a free port."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    issuer = Issuer(listener.extra(SocketAttribute.local_port))
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, issuer.answer)
        yield issuer
        tasks.cancel_scope.cancel()


def _jwk(name: str, key: rsa.RSAPrivateKey) -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": name, "alg": "RS256", "use": "sig"}


def _encoded(header: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
