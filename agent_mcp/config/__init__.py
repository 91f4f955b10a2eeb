"""The configuration: its schema, where it is found, how agents are read from Markdown."""
