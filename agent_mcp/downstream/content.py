"""From what a tool answered to what the model reads: every content block, losslessly where the model can take it.

Pure: raw JSON in, `ToolResult` out. Text is kept to the letter, also where it looks like JSON. Nothing is cut here.
Block kinds: https://modelcontextprotocol.io/specification/2025-11-25/server/tools#tool-result
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from agent_mcp.agent.messages import Content, Media, Text, ToolCall, ToolResult

Json = Mapping[str, Any]


def to_result(call: ToolCall, answer: Json, *, duration_ms: int) -> ToolResult:
    """The result of a `tools/call`; an empty answer is a success without content."""
    content = [to_content(block) for block in _blocks(answer.get("content"))]
    structured = answer.get("structuredContent")
    if structured is not None and not _is_said(structured, content):
        content.append(Text(_compact(structured)))
    failed = answer.get("isError") is True
    return ToolResult(
        call_id=call.id,
        content=tuple(content),
        is_error=failed,
        code="TOOL_ERROR" if failed else None,
        duration_ms=duration_ms,
        provider_id=call.provider_id,
    )


def to_content(block: Any) -> Content:
    """One content block; a kind that we do not know, or a malformed one, becomes its JSON as text."""
    match block:
        case {"type": "text", "text": str(text)}:
            return Text(text)
        case {"type": "image" | "audio", "data": str(data), "mimeType": str(mime_type)}:
            return Media(mime_type=mime_type, data=data)
        case {"type": "resource", "resource": {"uri": str(uri), "text": str(text)}}:
            return Text(f"[resource {uri}]\n{text}")
        case {"type": "resource", "resource": {"blob": str(blob), **resource}}:
            return Media(mime_type=_mime_type(resource), data=blob)
        case {"type": "resource_link", "uri": str(uri), **link}:
            return Text(_described_link(uri, link))
        case _:
            return Text(_compact(block))


def _blocks(content: object) -> list[Any]:
    """The blocks; what some servers send in place of a list is one block."""
    if isinstance(content, list):
        return cast("list[Any]", content)
    return [] if content is None else [content]


def _mime_type(resource: Mapping[str, Any]) -> str:
    mime_type = resource.get("mimeType")
    return mime_type if isinstance(mime_type, str) and mime_type else "application/octet-stream"


def _described_link(uri: str, link: Mapping[str, Any]) -> str:
    """A link that was not followed: what it is called, where it points, and what is said of it."""
    name = next((link[key] for key in ("title", "name") if isinstance(link.get(key), str)), "")
    lines = [f"[resource link] {name}: {uri}" if name else f"[resource link] {uri}"]
    if isinstance(mime_type := link.get("mimeType"), str):
        lines.append(f"type: {mime_type}")
    if isinstance(size := link.get("size"), int):
        lines.append(f"size: {size} bytes")
    if isinstance(description := link.get("description"), str):
        lines.append(description)
    return "\n".join(lines)


def _is_said(structured: Any, content: Iterable[Content]) -> bool:
    """Whether a text block already is this JSON: servers repeat it there for hosts that read only text."""
    wanted = {_canonical(structured)}
    texts = [part.text for part in content if isinstance(part, Text)]
    match structured:
        case {"result": wrapped, **others} if not others:
            # The Python SDK wraps what is no object so, and sends the text of it alone.
            wanted.add(_canonical(wrapped))
            if wrapped in texts:
                return True
        case _:
            pass
    return any(_as_json(text) in wanted for text in texts)


def _as_json(text: str) -> str | None:
    try:
        return _canonical(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _canonical(value: Any) -> str:
    """Text that is equal exactly for equal JSON: Python's own `==` takes True for 1."""
    return json.dumps(value, sort_keys=True)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
