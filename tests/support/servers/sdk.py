"""An MCP server on the SDK, of both eras, over stdio or streamable HTTP.

python -m tests.support.servers.sdk [--http FD] [--sse FD] [--token TOKEN]

Over HTTP it serves on a listening socket that it inherits, so that nobody has to guess a port or wait for it.
"""

import argparse
import socket
from typing import Annotated

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import AcceptedElicitation, Elicit, ListRoots, Resolve, Sample
from mcp_types import CreateMessageResult, ListRootsResult, SamplingMessage, TextContent
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send


class Quantity(BaseModel):
    """What `order` asks for."""

    n: int


async def ask_quantity() -> Elicit[Quantity]:
    """The question of `order`."""
    return Elicit("how many?", Quantity)


def added() -> str:
    """A tool that is not there at first."""
    return "new"


server = MCPServer("sdk")


@server.tool()
def echo(value: str) -> str:
    """Return the value."""
    return value


@server.tool()
async def slow(ctx: Context) -> str:
    """Say that it has begun, and go on for a long time."""
    await ctx.report_progress(0, 1, "begun")
    await anyio.sleep(60)
    return "done"


@server.tool()
async def order(quantity: Annotated[AcceptedElicitation[Quantity] | object, Resolve(ask_quantity)]) -> str:
    """Ask how many."""
    match quantity:
        case AcceptedElicitation(data=Quantity(n=n)):
            return f"accepted {n}"
        case _:
            return "declined"


def ask_model() -> Sample:
    """The question of `consult`."""
    said = SamplingMessage(role="user", content=TextContent(type="text", text="Say hi"))
    return Sample([said], max_tokens=7, system_prompt="Be brief.")


def ask_roots() -> ListRoots:
    """The question of `where`."""
    return ListRoots()


@server.tool()
async def consult(reply: Annotated[CreateMessageResult, Resolve(ask_model)]) -> str:
    """Ask the host's model."""
    return f"{reply.model}: {reply.content.text if isinstance(reply.content, TextContent) else '?'}"


@server.tool()
async def where(roots: Annotated[ListRootsResult, Resolve(ask_roots)]) -> str:
    """Ask where to work."""
    return " ".join(str(root.uri) for root in roots.roots)


@server.tool()
async def change_tools(ctx: Context) -> str:
    """Add a tool and say so, in both eras."""
    server.add_tool(added)
    await ctx.notify_tools_changed()
    await ctx.session.send_tool_list_changed()
    return "changed"


class Guarded:
    """Lets in only requests with the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] == "http" and Request(scope).headers.get("authorization") != f"Bearer {self.token}":
            refusal: Response = PlainTextResponse("who are you?", status_code=401)
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)


def main() -> None:
    """Serve as asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--http", type=int)
    parser.add_argument("--sse", type=int)
    parser.add_argument("--token")
    options = parser.parse_args()
    if options.http is None and options.sse is None:
        server.run("stdio")
        return
    app: ASGIApp = server.streamable_http_app() if options.http is not None else server.sse_app()
    app = Guarded(app, options.token) if options.token else app
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=0)
    listener = socket.socket(fileno=options.http if options.http is not None else options.sse)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
