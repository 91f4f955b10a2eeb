-- Tools' definitions by their digests (see sessions/pins.py): what was accepted, and what was seen that differs.

CREATE TABLE tool_pins (
    entry TEXT NOT NULL,          -- a server of a config
    tool TEXT NOT NULL,           -- the server's own name for it
    accepted TEXT NOT NULL,       -- '': a tool that came after the entry's first use, not accepted yet
    seen TEXT NOT NULL,           -- '': nothing differs
    at REAL NOT NULL,             -- when this row was last changed, seconds since the epoch
    PRIMARY KEY (entry, tool)
) WITHOUT ROWID;
