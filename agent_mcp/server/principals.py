"""Who is calling: the principal of a request, whatever the transport. How tokens are checked is not its business."""

from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.context import ServerRequestContext
from starlette.requests import Request

NOBODY = ""
"""The one principal of stdio, and of HTTP where no token is asked for."""


def principal_of(ctx: ServerRequestContext[Any, Any]) -> str:
    """To whom sessions made in this request belong, and whose sessions it may see."""
    request = ctx.request
    return principal_of_user(request.scope.get("user")) if isinstance(request, Request) else NOBODY


def principal_of_user(user: object) -> str:
    """The same, of what authentication left in an ASGI scope under `user`; our verifiers put it in `client_id`."""
    return user.access_token.client_id if isinstance(user, AuthenticatedUser) else NOBODY
