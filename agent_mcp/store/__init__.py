"""The log of all sessions on disk: adapters of `sessions.ports.SessionStore`. Start at `open`."""
