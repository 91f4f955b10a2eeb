"""The MCP servers that we are a client of: one owner task a connection, and their tools as one toolbox a turn."""
