"""The command line's grammar. Knows no command's work."""

from argparse import (
    SUPPRESS,
    Action,
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Sequence
from typing import Any

DEFAULT_PORT = 8642
_UNIT_SECONDS = {"h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DEFAULT_HOST = "127.0.0.1"
HOSTS = ("claude-desktop", "claude-code", "cursor", "vscode", "codex")
"""The hosts that `install` knows."""

_EXAMPLES = """\
an entry for a host's config:
  {"mcpServers": {"agent": {"command": "/absolute/path/to/agent-mcp"}}}

try it without any key or config:
  agent-mcp demo
"""


def build_parser() -> ArgumentParser:
    """The parser of everything; no command means `serve`, whose options may then stand alone."""
    parser = ArgumentParser(
        prog="agent-mcp",
        description="An MCP server that publishes agent sessions as tools.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
        parents=[_serve_options()],
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    parser.set_defaults(
        command="serve",
        config=None,
        debug=False,
        transport="stdio",
        role="both",
        host=_DEFAULT_HOST,
        port=DEFAULT_PORT,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _command(commands, "serve", "run the MCP server, as no command at all does", options=_serve_options())
    _command(commands, "demo", "see a session at work, with no key and no config")
    doctor = _command(commands, "doctor", "check config, keys, servers and store, and say how to mend them")
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.add_argument("--agent", metavar="NAME", help="show what becomes of each tool of this agent")
    _add_session_actions(_command(commands, "sessions", "look at the sessions in the store"))
    _add_db_actions(_command(commands, "db", "bring a database in PostgreSQL up to date"))
    _add_approval_actions(_command(commands, "approvals", "answer calls that wait for approval"))
    _add_chat_options(_command(commands, "chat", "talk to an agent in the terminal"))
    _add_install_options(_command(commands, "install", "write the entry into a host's own config file"))
    _add_login_options(_command(commands, "login", "log in to a server behind HTTP, in a browser"))
    _add_server(_command(commands, "logout", "forget the login to a server"))
    return parser


def parse(argv: Sequence[str] | None = None) -> Namespace:
    """The options of a command line; exits with 2 where they are wrong, alone or together."""
    parser = build_parser()
    options = parser.parse_args(argv)
    if options.transport == "stdio" and (options.host, options.port) != (_DEFAULT_HOST, DEFAULT_PORT):
        parser.error("--host and --port mean something only with --transport http")
    return options


def _common_options() -> ArgumentParser:
    """Without defaults of their own, so that those after a command do not undo those before it."""
    options = ArgumentParser(add_help=False)
    options.add_argument("--config", metavar="FILE", default=SUPPRESS, help="the config file to use")
    options.add_argument(
        "--debug", action="store_true", default=SUPPRESS, help="show tracebacks, and log everything"
    )
    return options


def _serve_options() -> ArgumentParser:
    options = ArgumentParser(add_help=False, parents=[_common_options()])
    options.add_argument("--transport", choices=["stdio", "http"], default=SUPPRESS, help="default: stdio")
    options.add_argument("--host", default=SUPPRESS, help=f"http: the address to listen on ({_DEFAULT_HOST})")
    options.add_argument(
        "--port", type=_port, default=SUPPRESS, help=f"http: the port ({DEFAULT_PORT}); the path is /mcp"
    )
    options.add_argument(
        "--role",
        choices=["both", "server", "worker"],
        default=SUPPRESS,
        help="with a store in PostgreSQL: serve hosts, run turns, or both (default)",
    )
    return options


def _command(
    commands: Any, name: str, summary: str, *, options: ArgumentParser | None = None
) -> ArgumentParser:
    parser: ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        allow_abbrev=False,
        parents=[options or _common_options()],
    )
    parser.set_defaults(command=name)
    return parser


def _add_session_actions(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _action(actions, "list", "list the sessions, newest first")
    for name, summary in (
        ("show", "print a session's transcript"),
        ("delete", "remove a session and its log"),
    ):
        _action(actions, name, summary).add_argument("session_id", metavar="ID")
    _add_archive_actions(actions)
    _add_prune_options(_action(actions, "prune", "remove old sessions and give their space back"))


def _add_archive_actions(actions: Any) -> None:
    export = _action(actions, "export", "write sessions whole, as JSON Lines that import reads")
    which = export.add_mutually_exclusive_group(required=True)
    which.add_argument("session_id", metavar="ID", nargs="?")
    which.add_argument("--all", action="store_true", help="every session in the store")
    export.add_argument("--output", metavar="FILE", help="a new file to write to (default: stdout)")
    restore = _action(actions, "import", "read sessions that export wrote")
    restore.add_argument("file", metavar="FILE", help="the file, or - for stdin")
    restore.add_argument(
        "--skip-existing", action="store_true", help="leave sessions alone whose id is taken"
    )


def _add_prune_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--older-than", type=_age, metavar="AGE", help="those without a change for so long: 12h, 30d, 8w"
    )
    parser.add_argument("--keep", type=_count, metavar="N", help="all but the N that were changed last")
    parser.add_argument("--dry-run", action="store_true", help="say which, and remove nothing")


def _add_approval_actions(parser: ArgumentParser) -> None:
    parser.set_defaults(action="list")
    actions = parser.add_subparsers(metavar="ACTION")
    _approval_action(actions, "list", "show every waiting call with its whole arguments, as no action does")
    allow = _approval_action(actions, "allow", "let a waiting call run")
    allow.add_argument("call_id", metavar="CALL_ID")
    reach = "this call, this tool with these arguments, or this tool for the session (default: once)"
    allow.add_argument(
        "--for", dest="scope", choices=["once", "arguments", "session"], default="once", help=reach
    )
    deny = _approval_action(actions, "deny", "refuse a waiting call")
    deny.add_argument("call_id", metavar="CALL_ID")
    for action in (allow, deny):
        action.add_argument("--reason", metavar="TEXT", default="", help="the agent reads it if denied")
    pins = _approval_action(actions, "pins", "show tools that are not defined as at their first use")
    accept = _approval_action(pins.add_subparsers(metavar="ACTION"), "accept", "take them as they are now")
    accept.add_argument("server", metavar="SERVER", help="a server of the config")


def _approval_action(actions: Any, name: str, summary: str) -> ArgumentParser:
    action = _action(actions, name, summary)
    action.set_defaults(action=name)
    return action


def _add_db_actions(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _action(actions, "upgrade", "make or bring up to date the tables of sessions and of the queue")
    _action(actions, "status", "say how far the tables are; exit status 1 if they must be upgraded")


def _add_chat_options(parser: ArgumentParser) -> None:
    parser.add_argument("--agent", metavar="NAME", help="an agent of the config")
    parser.add_argument("--session", metavar="ID", help="go on with this session")


def _add_install_options(parser: ArgumentParser) -> None:
    parser.add_argument("target", metavar="HOST", choices=HOSTS, help=f"one of {', '.join(HOSTS)}")
    parser.add_argument("--dry-run", action="store_true", help="show what would change and write nothing")


def _add_login_options(parser: ArgumentParser) -> None:
    _add_server(parser)
    parser.add_argument("--no-browser", action="store_true", help="only print the address to open")


def _add_server(parser: ArgumentParser) -> None:
    parser.add_argument("server", metavar="SERVER", help="its name under mcpServers")


def _action(actions: Any, name: str, summary: str) -> ArgumentParser:
    parser: ArgumentParser = actions.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", parents=[_common_options()]
    )
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise ArgumentTypeError(f"{text!r} is no port (0 to 65535)")
    return int(text)


def _age(text: str) -> float:
    """Seconds."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNIT_SECONDS or not number.isdecimal() or not int(number):
        raise ArgumentTypeError(f"{text!r} is no age (12h, 30d, 8w)")
    return int(number) * _UNIT_SECONDS[unit]


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is no number of sessions")
    return int(text)


class _Version(Action):
    """Asks for the version only when it is wanted."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        from agent_mcp import version

        print(f"agent-mcp {version()}")
        parser.exit()
