"""Asks an OpenAI-compatible address which models it has. Loaded only when a reference names none."""

from typing import Any, cast

import httpx2

from agent_mcp.errors import TransientModelError
from agent_mcp.models.streaming import describe
from agent_mcp.models.target import Target, shown_url

_TIMEOUT_SECONDS = 3.0


async def first_model(target: Target) -> str:
    """The id of the first model in `GET {base_url}/models`.

    Raises:
        TransientModelError: no answer within three seconds, or none that lists a model.
    """
    address = shown_url(target.base_url or "")
    headers = {"Authorization": f"Bearer {target.api_key}", **target.headers}
    try:
        async with httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS, headers=headers) as client:
            response = await client.get(f"{(target.base_url or '').rstrip('/')}/models")
        names = _names(response.raise_for_status().json())
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise _not_listed(address, describe(error)) from error
    if not names:
        raise _not_listed(address, "it lists none")
    return names[0]


def _names(body: object) -> list[str]:
    rows: object = cast(dict[str, Any], body).get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        return []
    fields = [cast(dict[str, Any], row) for row in cast(list[object], rows) if isinstance(row, dict)]
    return [str(row["id"]) for row in fields if row.get("id")]


def _not_listed(address: str, reason: str) -> TransientModelError:
    return TransientModelError(
        f"no model was named, and asking {address} for its models failed: {reason}",
        hint="start that server, or name a model (AGENT_MCP_MODEL, or `defaults.model` in the config)",
    )
