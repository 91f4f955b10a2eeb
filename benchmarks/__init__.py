"""What agent-mcp costs, next to a bare program that does the same work: see README.md."""
