"""The key `oauth` of a server's entry: other hosts' spelling of it, and what is wrong with it."""

from collections.abc import Iterator
from typing import Any, cast

from agent_mcp.config.check import unknown_keys
from agent_mcp.config.findings import Complaint
from agent_mcp.config.schema import LoginEntry

_SPELLINGS = {"clientId": "client_id", "clientSecret": "client_secret", "callbackPort": "callback_port"}
"""As Claude Code and the Gemini CLI write them."""
_OF_HOSTS = {
    *("audiences", "authServerMetadataUrl", "authorizationUrl", "enabled", "redirectUri"),
    *("registrationUrl", "tokenParamName", "tokenUrl"),
}
"""What they write besides, and we ask the server for."""


def with_usual_login(data: dict[str, Any]) -> dict[str, Any]:
    """An entry with our own names in its `oauth`; one that only switches it on or off says nothing to us."""
    written = data.get("oauth")
    if isinstance(written, bool):
        return {name: value for name, value in data.items() if name != "oauth"}
    if not isinstance(written, dict):
        return data
    login = cast("dict[str, Any]", written)
    return {**data, "oauth": {_SPELLINGS.get(name, name): value for name, value in login.items()}}


def unknown_in_login(data: dict[str, Any], *, key: str) -> Iterator[Complaint]:
    """A complaint for every key of the entry's `oauth` that nobody knows."""
    login = with_usual_login(data).get("oauth")
    if isinstance(login, dict):
        ours = {name: value for name, value in cast("dict[str, Any]", login).items() if name not in _OF_HOSTS}
        yield from unknown_keys(LoginEntry, ours, key=f"{key}.oauth")


def problem_with_login(login: LoginEntry) -> Complaint | None:
    """What the types alone can't say: credentials that go together."""
    if login.client_secret and login.private_key:
        return Complaint("private_key", "stands beside a `client_secret`", "keep one of them")
    if (login.client_secret or login.private_key) and not login.client_id:
        return Complaint("client_id", "is missing", "write the id that the secret belongs to")
    if login.private_key and "-----BEGIN" not in login.private_key:
        return Complaint("private_key", "is no PEM text", 'write "${file:PATH}" for a key in a file')
    match login.grant:
        case "client_credentials" if not (login.client_secret or login.private_key):
            return Complaint("client_secret", "is missing", "the grant `client_credentials` needs it")
        case "authorization_code" if login.private_key:
            return Complaint("private_key", "goes with the grant `client_credentials` alone")
        case _:
            return None
