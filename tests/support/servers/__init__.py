"""Downstream MCP servers for the tests, each a program of its own: well-behaved ones and all kinds of bad ones."""
