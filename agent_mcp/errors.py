"""Every deliberate error of the project, and the public code of each.

    AgentMcpError
    ├── ConfigError                 the config is wrong: file, key, problem (exit status 2)
    ├── FencedError                 another runner owns this turn now; internal, never shown
    └── PublicError                 becomes `error` in a tool's result: code, message, hint
        ├── SessionNotFoundError    SESSION_NOT_FOUND
        ├── SessionExistsError      SESSION_EXISTS
        ├── SessionClosedError      SESSION_CLOSED
        ├── SessionBusyError        SESSION_BUSY
        ├── AgentNotFoundError      AGENT_NOT_FOUND
        ├── InvalidArgumentError    INVALID_ARGUMENT
        ├── BudgetExceededError     BUDGET_EXCEEDED
        ├── ApprovalNotFoundError   APPROVAL_NOT_FOUND
        ├── ApprovalOutsideError    APPROVAL_OUTSIDE     the config wants it answered outside of hosts
        ├── RecursionLimitError     RECURSION_LIMIT
        ├── StoreError              STORE_ERROR
        ├── ServerUnavailableError  SERVER_UNAVAILABLE   a server that the config calls required is down
        ├── MissingApiKeyError      MISSING_API_KEY
        ├── UnsupportedProviderError UNSUPPORTED_PROVIDER
        ├── InternalError           INTERNAL_ERROR       a defect of ours; the log on stderr says more
        └── ModelError              MODEL_ERROR          the provider refused for good
            ├── TransientModelError MODEL_UNAVAILABLE    worth another try; carries Retry-After
            └── ContextOverflowError CONTEXT_OVERFLOW    the history no longer fits the model

What a downstream tool does wrong is no exception: the model reads it as a tool result (see `agent.tools`).
"""

from typing import ClassVar


class AgentMcpError(Exception):
    """The root of everything that is raised on purpose."""


class ConfigError(AgentMcpError):
    """The configuration is wrong.

    `place` names the file and the key (`/home/u/config.json: agents.researcher.model`), `problem` says what is
    wrong there, `hint` the way out.
    """

    def __init__(self, place: str, problem: str, *, hint: str = "") -> None:
        super().__init__(f"{place}: {problem}" + (f" ({hint})" if hint else ""))
        self.place = place
        self.problem = problem
        self.hint = hint


class FencedError(AgentMcpError):
    """This runner's epoch is over: someone else claimed or ended the turn. Stop, write nothing."""


class PublicError(AgentMcpError):
    """An error that a host sees as `error: {code, message, hint}` with `isError: true`."""

    code: ClassVar[str]

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SessionNotFoundError(PublicError):
    """No session has this id (or it belongs to someone else: the answer is the same)."""

    code = "SESSION_NOT_FOUND"


def session_not_found(session_id: str) -> SessionNotFoundError:
    """The same for an unknown session and for somebody else's."""
    return SessionNotFoundError(f"no session {session_id}", hint="list_sessions shows the sessions there are")


class SessionExistsError(PublicError):
    """start_session named an id that exists with other arguments."""

    code = "SESSION_EXISTS"


class SessionClosedError(PublicError):
    """The session was closed; only summary and fork_session still work."""

    code = "SESSION_CLOSED"


class SessionBusyError(PublicError):
    """A limit was reached: too many running turns, or too many held messages."""

    code = "SESSION_BUSY"


class AgentNotFoundError(PublicError):
    """The config has no agent of this name."""

    code = "AGENT_NOT_FOUND"


class InvalidArgumentError(PublicError):
    """A tool argument is missing, unknown, of the wrong type or out of range."""

    code = "INVALID_ARGUMENT"


class BudgetExceededError(PublicError):
    """The budget leaves no room for even one reply."""

    code = "BUDGET_EXCEEDED"


class ApprovalNotFoundError(PublicError):
    """No call of this id waits, or ever waited, for approval in this session."""

    code = "APPROVAL_NOT_FOUND"


class ApprovalOutsideError(PublicError):
    """A host's model tried to answer an approval, and the config lets only people do that, outside of hosts."""

    code = "APPROVAL_OUTSIDE"

    def __init__(self, call_id: str) -> None:
        super().__init__(
            'approvals are answered outside of the host here (server.approvals is "outside"); nothing was answered',
            hint=f"Ask the user to run `agent-mcp approvals allow {call_id}` (or deny) in a terminal, "
            "then call send_message without a message.",
        )


class RecursionLimitError(PublicError):
    """A config contains itself, or agents are nested too deep."""

    code = "RECURSION_LIMIT"


class StoreError(PublicError):
    """The session store cannot be read or written."""

    code = "STORE_ERROR"


class ServerUnavailableError(PublicError):
    """A downstream server is down that the config calls required, so the turn cannot begin."""

    code = "SERVER_UNAVAILABLE"


class MissingApiKeyError(PublicError):
    """The provider needs a key that is not set; the message names the variable."""

    code = "MISSING_API_KEY"


class UnsupportedProviderError(PublicError):
    """A model was named with a provider that we do not speak."""

    code = "UNSUPPORTED_PROVIDER"


class InternalError(PublicError):
    """Something failed that nobody foresaw."""

    code = "INTERNAL_ERROR"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} failed unexpectedly.",
            hint="This is a defect: the server's log on stderr says more. The session itself is kept.",
        )


class ModelError(PublicError):
    """The provider refused the request; the same request would be refused again."""

    code = "MODEL_ERROR"


class TransientModelError(ModelError):
    """The provider could not answer now (429, 5xx, broken stream). `retry_after_seconds` is its own wish, if any."""

    code = "MODEL_UNAVAILABLE"

    def __init__(self, message: str, *, hint: str = "", retry_after_seconds: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_seconds = retry_after_seconds


class ContextOverflowError(ModelError):
    """The history no longer fits the model's context window."""

    code = "CONTEXT_OVERFLOW"
