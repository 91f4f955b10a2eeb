"""The inner agent: messages, tools, limits and the loop. Pure: stdlib and anyio, no I/O, no SDK, no pydantic."""
