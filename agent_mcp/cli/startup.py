"""What every command does first: read the config, and set up logging with its secrets masked."""

import logging
import os
import shlex
from argparse import Namespace

from agent_mcp.config.load import load_config
from agent_mcp.config.schema import Config
from agent_mcp.config.secrets import secrets_of
from agent_mcp.errors import ConfigError
from agent_mcp.observability.logging import configure_logging
from agent_mcp.store.open import check_address, default_store_url, is_postgres

log = logging.getLogger(__name__)


def configure(options: Namespace) -> Config:
    """The config of the command line and the environment, with logs going where it says.

    Raises:
        ConfigError: the config is wrong.
    """
    level = "DEBUG" if options.debug else os.environ.get("AGENT_MCP_LOG_LEVEL", "WARNING")
    configure_logging(level, (), debug=options.debug)
    config = load_config(options.config, os.environ)
    _check_store_address(config)
    configure_logging(level, secrets_of(config, os.environ), debug=options.debug)
    return config


def _check_store_address(config: Config) -> None:
    """Raises: ConfigError: it is none; the store itself does not know where its address was written."""
    try:
        check_address(config.store or default_store_url(os.environ))
    except ConfigError as error:
        written = (
            "environment: AGENT_MCP_STORE" if os.environ.get("AGENT_MCP_STORE") else f"{config.path}: store"
        )
        raise ConfigError(written, error.problem, hint=error.hint) from error


def same_command(options: Namespace) -> str:
    """How to call us again with the same config, for hints: another config may mean another store."""
    return f"agent-mcp --config {shlex.quote(options.config)}" if options.config else "agent-mcp"


def log_problems(config: Config) -> None:
    """Say on stderr what is wrong with the config and does not stop us; hosts keep that in their log files."""
    for problem in config.problems:
        log.warning("%s: %s%s", problem.place, problem.message, f" ({problem.hint})" if problem.hint else "")


def check_role(config: Config, role: str) -> None:
    """Raises: ConfigError: the store does not let roles be told apart."""
    url = config.store or default_store_url(os.environ)
    if role != "both" and not is_postgres(url):
        problem = (
            f"{role!r} needs a store that other processes share, in PostgreSQL; this one is a SQLite file"
        )
        raise ConfigError("--role", problem, hint="leave --role out, or set `store` to postgresql://…")
