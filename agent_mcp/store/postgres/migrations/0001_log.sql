-- The log as in SQLite, in a schema of its own. JSON is text and not jsonb: an event comes back to the byte, and its
-- strings may hold U+0000, which jsonb refuses.

CREATE SCHEMA agent_mcp;

CREATE TABLE agent_mcp.meta (
    schema_version INTEGER NOT NULL
);

-- Who may run turns now. A process that is gone or frozen stops moving its `expires`.
CREATE TABLE agent_mcp.owners (
    id TEXT PRIMARY KEY,
    expires TIMESTAMPTZ NOT NULL  -- by the database's clock
);

CREATE TABLE agent_mcp.sessions (
    id TEXT COLLATE "C" PRIMARY KEY,
    head INTEGER NOT NULL,        -- seq of the newest event
    epoch INTEGER NOT NULL,       -- of the newest claim: a runner with an older one may not write
    config TEXT NOT NULL,         -- the profile, JSON
    origin TEXT NOT NULL,
    principal TEXT NOT NULL,
    parent TEXT,                  -- the session that this one was forked from
    created DOUBLE PRECISION NOT NULL,  -- seconds since the epoch
    updated DOUBLE PRECISION NOT NULL,
    closed BOOLEAN NOT NULL DEFAULT false,
    agent TEXT NOT NULL,          -- JSON, like the title: a listing needs no other part of the log
    title TEXT,                   -- of the first message; NULL before it
    search TEXT NOT NULL          -- id, agent and title, case folded
) WITH (fillfactor = 70);         -- each append updates its session's row

CREATE INDEX sessions_updated ON agent_mcp.sessions (updated, id);
CREATE INDEX sessions_of ON agent_mcp.sessions (principal, updated, id);

CREATE TABLE agent_mcp.turns (
    session TEXT NOT NULL,
    n INTEGER NOT NULL,
    status TEXT NOT NULL,         -- queued, running, done
    owner TEXT,                   -- who runs it; see owners
    claims INTEGER NOT NULL,      -- claims in a row that found no new event
    claimed_head INTEGER,         -- sessions.head at the newest claim
    PRIMARY KEY (session, n)
);

CREATE INDEX turns_unfinished ON agent_mcp.turns (session, n) WHERE status <> 'done';

CREATE TABLE agent_mcp.events (
    session TEXT NOT NULL,
    seq INTEGER NOT NULL,         -- from 1 without gaps within its session
    turn INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,           -- the event's other fields, JSON
    at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (session, seq)
);

-- The few events that decide what a message does.
CREATE INDEX events_marks ON agent_mcp.events (session, kind, seq)
    WHERE kind IN ('user_message', 'model_reply', 'turn_ended', 'delivered');

-- Large contents of results, once each by what they say (see store/blobs.py), and which events use them.
CREATE TABLE agent_mcp.blobs (
    hash TEXT PRIMARY KEY,        -- SHA-256 of the UTF-8 text, hexadecimal
    data TEXT NOT NULL            -- JSON, for the sake of U+0000
);

CREATE TABLE agent_mcp.blob_refs (
    session TEXT NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (session, seq, hash)
);

CREATE INDEX blob_refs_hash ON agent_mcp.blob_refs (hash, session);

-- What each principal's sessions spent by day and agent, written with the events that it comes from.
CREATE TABLE agent_mcp.spending (
    day TEXT NOT NULL,            -- UTC, as 2026-11-22
    principal TEXT NOT NULL,
    agent TEXT NOT NULL,          -- empty for the nameless one
    steps BIGINT NOT NULL,
    tool_calls BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cost_usd DOUBLE PRECISION NOT NULL,  -- of replies with a known price
    seconds DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (day, principal, agent)
) WITH (fillfactor = 50);

-- Tools' definitions by their digests (see sessions/pins.py): what was accepted, and what was seen that differs.
CREATE TABLE agent_mcp.tool_pins (
    entry TEXT COLLATE "C" NOT NULL,  -- a server of a config
    tool TEXT COLLATE "C" NOT NULL,   -- the server's own name for it
    accepted TEXT NOT NULL,       -- '': a tool that came after the entry's first use, not accepted yet
    seen TEXT NOT NULL,           -- '': nothing differs
    at DOUBLE PRECISION NOT NULL, -- when this row was last changed, seconds since the epoch
    PRIMARY KEY (entry, tool)
);
