"""The config file's shape. Pure data: what is read from disk or the environment is `load`'s business.

Keys are those of CONTRACT in the documentation; every model forbids unknown keys except a server entry, whose
unknown keys are kept as warnings, since hosts put their own there.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from agent_mcp.sessions.sizes import RESULT_CHARACTERS

PositiveSeconds = Annotated[float, Field(gt=0)]


class Strict(BaseModel):
    """Unknown keys are errors; numbers must be numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def _to_patterns(value: object) -> object:
    match value:
        case True:
            return ["*"]
        case False:
            return []
        case _:
            return value


class LoginEntry(BaseModel):
    """The key `oauth` of a server behind HTTP: how we log in there, where it can't all be asked of the server."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True, defer_build=True)

    client_id: str | None = None
    """As we were registered by hand; an https URL is that of a client id metadata document."""
    client_secret: str | None = None
    private_key: str | None = None
    """PEM, in the place of a secret, with the grant `client_credentials` (RFC 7523)."""
    scopes: tuple[str, ...] = ()
    """What to ask for; empty: what the server says."""
    grant: Literal["authorization_code", "client_credentials"] = "authorization_code"
    issuer: str | None = None
    """The authorization server that `client_id` belongs to: no other is told the secret."""
    callback_port: Annotated[int, Field(gt=0, le=65535)] | None = None
    """The port of a redirect that was registered by hand, `http://localhost:PORT/callback`."""


class ServerEntry(BaseModel):
    """One entry of `mcpServers`, already expanded."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True, defer_build=True)

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str | None = None
    inherit_env: tuple[str, ...] = ()
    """Names of our own environment variables that the child gets too."""
    type: Literal["stdio", "http", "sse"] | None = None
    """None: stdio with a `command`, http with a `url`."""
    url: str | None = None
    headers: dict[str, str] = {}
    oauth: LoginEntry | None = None
    """How to log in there; None: as the server says."""
    allow_link_local: bool = False
    """Whether `url` may lead to a link-local or metadata address."""
    confidential: tuple[str, ...] = ()
    """Values that came into the entry as secrets, wherever in it they stand. Filled while it is read."""
    disabled: bool = False
    timeout: PositiveSeconds = 60
    """Seconds for one tool call."""
    connect_timeout: PositiveSeconds = 15
    """Seconds for start, handshake and tool list together."""
    scope: Literal["shared", "session"] = "shared"
    required: bool = False
    era: Literal["auto", "legacy", "modern"] = "auto"
    interrupted: Literal["retry", "unknown", "ask"] = "unknown"
    untrusted: bool = False
    """What it says may come from anybody: see `sessions.taint`."""
    outward: Annotated[tuple[str, ...] | None, BeforeValidator(_to_patterns)] = None
    """Patterns over its own names of tools that send something out; true is all, false none, None: nothing is said."""
    approvals: "ServerApprovals | None" = None
    pins: Literal["ask", "warn", "off"] = "warn"
    """What a definition of a tool that is not that of its first use leads to."""
    instructions: bool = False
    """Whether the server's own instructions are added to the system text."""
    sampling: bool = False
    """Whether the server may have replies of the session's model, at the session's cost."""
    roots: tuple[str, ...] = ()
    """Folders and files that the server is told it may work in: absolute paths or `file://` URIs."""
    tools: tuple[str, ...] | None = None
    """Patterns over the server's own tool names; None: all."""
    max_result_characters: Annotated[int, Field(gt=0)] | None = None
    """How much text of one of its results the model is shown; None: as `server` says."""


class CapsEntry(Strict):
    """Limits over one stretch of work."""

    tokens: Annotated[int, Field(gt=0)] | None = None
    cost_usd: Annotated[float, Field(gt=0)] | None = None
    seconds: PositiveSeconds | None = None
    tool_calls: Annotated[int, Field(ge=0)] | None = None
    input_tokens: Annotated[int, Field(gt=0)] | None = None
    output_tokens: Annotated[int, Field(gt=0)] | None = None
    steps: Annotated[int, Field(gt=0)] | None = None
    """Replies of the model, the closing one included."""


class BudgetEntry(CapsEntry):
    """Limits over a session and, nested, over each of its turns and over a day (UTC) of all such sessions."""

    turn: CapsEntry | None = None
    day: CapsEntry | None = None


class RulesEntry(Strict):
    """Patterns over names of tools: in a server's entry its own, in an agent uncut `server__tool` names."""

    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class ApprovalsEntry(RulesEntry):
    """An agent's rules."""

    taint: Literal["ask", "off"] = "ask"
    """Whether outward tools ask once there is content of an untrusted server in the session."""


APPROVALS_SHAPES = ("rules", "off")


def _approvals_shape(value: object) -> str:
    return "off" if isinstance(value, str) else "rules"


Approvals = Annotated[
    Annotated[ApprovalsEntry, Tag("rules")] | Annotated[Literal["off"], Tag("off")],
    Discriminator(_approvals_shape),
]
"""Rules, or `"off"`. Told apart before they are checked, so that an error speaks of the one that was meant."""

ServerApprovals = Annotated[
    Annotated[RulesEntry, Tag("rules")] | Annotated[Literal["off"], Tag("off")],
    Discriminator(_approvals_shape),
]


class AgentEntry(Strict):
    """An agent, inline or from a Markdown file."""

    description: str = ""
    instructions: str = ""
    model: str | None = None
    servers: tuple[str, ...] | None = None
    """None: all servers of the config."""
    tools: tuple[str, ...] | None = None
    """Patterns over uncut `server__tool` names; None: all."""
    max_steps: Annotated[int, Field(ge=1)] | None = None
    budget: BudgetEntry | None = None
    approvals: Approvals | None = None


class Defaults(AgentEntry):
    """What an agent does not say itself; also the nameless agent."""

    allow_any_model: bool = False


class ModelEntry(Strict):
    """An alias under `models`."""

    use: str
    """`provider:model`."""
    base_url: str | None = None
    api_key_env: str | None = None
    """The variable that holds the key; `"NONE"`: the server needs none."""
    api_key_file: str | None = None
    """The file that holds it."""
    api_key_keyring: str | None = None
    """The entry of the system's keyring that holds it, `SERVICE/NAME`."""
    headers: dict[str, str] = {}
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    extra: dict[str, Any] = {}
    """Further fields of the provider's request body, as they are."""


class TokenEntry(Strict):
    """A bearer token for HTTP, said in one of three ways. `config.serving` leaves only the hash."""

    name: str
    """Who sends it: the principal that its sessions belong to. Two tokens may share a name, to change one."""
    token: str | None = None
    token_env: str | None = None
    """The variable that holds the token."""
    token_file: str | None = None
    token_keyring: str | None = None
    """The entry of the system's keyring that holds it, `SERVICE/NAME`."""
    token_sha256: str | None = None
    """64 hexadecimal digits."""


class OAuthEntry(Strict):
    """Access tokens (JWT) of an authorization server that are taken over HTTP."""

    issuer: str
    audience: str
    """What `aud` must hold: by the MCP specification the URL that clients connect to."""
    scopes: tuple[str, ...] = ()
    """A token must have all of them."""
    jwks_url: str | None = None
    """None: asked of the issuer's metadata."""
    resource_url: str | None = None
    """The URL that clients connect to, where `audience` is not it."""


class LimitsEntry(Strict):
    """What one principal may have; None: as much as all together."""

    sessions: Annotated[int, Field(gt=0)] | None = None
    """Sessions that are not closed."""
    running_turns: Annotated[int, Field(gt=0)] | None = None
    requests_per_minute: Annotated[int, Field(gt=0)] | None = None
    """Over HTTP."""
    budget: BudgetEntry | None = None
    """Over each session and turn of a principal's, and over its day with all agents."""


class HostEntry(Strict):
    """What is different with one host, by its `clientInfo.name`."""

    wait_seconds: Annotated[float, Field(ge=0)] | None = None
    max_wait_seconds: PositiveSeconds | None = None


class WorkerSettings(Strict):
    """Who runs turns, where the store is PostgreSQL. The same for all processes of one store."""

    concurrency: Annotated[int, Field(gt=0)] = 256
    """Turns at once in one process, those included that wait for a person; as many as `max_running_turns` by
    default, so that none of these waits for a place."""
    connections: Annotated[int, Field(gt=0)] = 10
    """To the database, for the log; a process that runs turns opens up to six more."""
    heartbeat_seconds: PositiveSeconds = 3
    stalled_seconds: PositiveSeconds = 15
    """A process that has not been heard of for so long loses its turns to others. Several heartbeats: one whose
    event loop is busy for a while must not count as gone."""


class ServerSettings(Strict):
    """How we serve: the `server` key."""

    wait_seconds: Annotated[float, Field(ge=0)] | None = None
    """How long a call waits by default; None: by the calling host."""
    hosts: dict[str, HostEntry] = {}
    """By `clientInfo.name`, in any case; stands above `wait_seconds`."""
    approvals: Literal["anywhere", "outside"] = "anywhere"
    """`outside`: hosts are not asked, and their tool `approve` refuses; `agent-mcp approvals` and `chat` answer."""
    notify: bool = True
    """Whether a desktop notification tells of a call that waits where its host can't ask anybody."""
    max_running_turns: Annotated[int, Field(gt=0)] = 256
    max_sessions: Annotated[int, Field(gt=0)] = 1_000_000
    """In the store, closed ones too."""
    max_store_bytes: Annotated[int, Field(gt=0)] = 100 * 1024**3
    max_result_characters: Annotated[int, Field(gt=0)] = RESULT_CHARACTERS
    """How much text of one tool result a model is shown, whichever server it is from."""
    max_children: Annotated[int, Field(gt=0)] = 64
    """Processes of stdio servers at once; idle ones make room for new ones."""
    worker: WorkerSettings = WorkerSettings()
    limits: LimitsEntry = LimitsEntry()
    tokens: tuple[TokenEntry, ...] = ()
    oauth: OAuthEntry | None = None
    allowed_hosts: tuple[str, ...] = ()
    """Values of the Host header over HTTP, besides this machine's own; without a port any port is meant."""
    allowed_origins: tuple[str, ...] = ()
    """Values of the Origin header, besides this machine's own."""
    state_key_env: tuple[str, ...] = ()
    """Variables with the secrets that replicas share, 32 characters or more; the first seals, all open."""
    max_request_bytes: Annotated[int, Field(gt=0)] = 64 * 1024 * 1024
    """Far above the longest message that is taken, so that a too long one is refused by us, with an answer."""
    max_connections: Annotated[int, Field(gt=0)] = 5_000
    request_seconds: PositiveSeconds = 60
    """How long a client may take to send a request, or to read what was sent to it."""
    keep_alive_seconds: PositiveSeconds = 60
    """How long a connection without a request stays open."""
    metrics: bool = False
    """Figures for Prometheus at `/metrics` over HTTP, for who has a token where one is asked for."""
    connection_idle_seconds: PositiveSeconds = 600
    """How long the old era's MCP connection (`Mcp-Session-Id`) is kept without a request."""


class RetentionEntry(Strict):
    """When sessions are removed by themselves: the `retention` key. Never one with a turn that has not ended."""

    days: Annotated[float, Field(gt=0)] | None = None
    """Without a change; None: however long."""
    sessions: Annotated[int, Field(gt=0)] | None = None
    """How many stay, those changed last; None: however many."""


class Problem(BaseModel):
    """Something that does not stop us: a server that cannot be used, a key that nobody knows."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    place: str
    """File and key, `config.json: mcpServers.docs.headers.Authorization`."""
    message: str
    hint: str = ""
    server: str | None = None
    """The server that it makes unavailable, if any."""


class Config(BaseModel):
    """The whole configuration, expanded and checked."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    path: str | None = None
    """The file it came from; None when there is none."""
    servers: dict[str, ServerEntry] = {}
    """Usable servers by name; those disabled or with an unset variable are not among them."""
    unavailable: dict[str, str] = {}
    """Servers of the file that cannot be used, with the reason (an unset variable, …). Not the disabled ones."""
    disabled: tuple[str, ...] = ()
    """Servers that the file switches off."""
    left_out: dict[str, ServerEntry] = {}
    """Entries of a host's file that start agent-mcp: how the host starts us, and no servers of ours."""
    ignored_keys: tuple[str, ...] = ()
    """Keys in `mcpServers` that hosts wrote for themselves, `docs.autoApprove`."""
    agents: dict[str, AgentEntry] = {}
    defaults: Defaults = Defaults()
    models: dict[str, ModelEntry] = {}
    store: str | None = None
    server: ServerSettings = ServerSettings()
    retention: RetentionEntry = RetentionEntry()
    secret_files: tuple[str, ...] = ()
    """Files that secrets were read from."""
    problems: tuple[Problem, ...] = ()
