-- The log. `events` is the only truth about what happened; `sessions` and `turns` hold what writers must agree on.

CREATE TABLE meta (
    schema_version INTEGER NOT NULL
);

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    head INTEGER NOT NULL,        -- seq of the newest event
    epoch INTEGER NOT NULL,       -- of the newest claim: a runner with an older one may not write
    config TEXT NOT NULL,         -- the profile, JSON
    origin TEXT NOT NULL,
    principal TEXT NOT NULL,
    parent TEXT,                  -- the session that this one was forked from
    created REAL NOT NULL,        -- seconds since the epoch, like every time here
    updated REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE turns (
    session TEXT NOT NULL,
    n INTEGER NOT NULL,
    status TEXT NOT NULL,         -- queued, running, done
    owner TEXT,                   -- the process whose lock file says whether it lives
    claims INTEGER NOT NULL,      -- claims in a row that found no new event
    claimed_head INTEGER,         -- sessions.head at the newest claim
    PRIMARY KEY (session, n)
) WITHOUT ROWID;

CREATE INDEX turns_unfinished ON turns (session, n) WHERE status <> 'done';

-- With rowids: rows of about 1 kB would overflow the pages of a WITHOUT ROWID table, which halves the append rate.
CREATE TABLE events (
    session TEXT NOT NULL,
    seq INTEGER NOT NULL,         -- from 1 without gaps within its session
    turn INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,           -- the event's other fields, JSON
    at REAL NOT NULL,
    PRIMARY KEY (session, seq)
);

-- The few events that decide what a message does. OR and not IN: SQLite proves `kind = 'x'` from it.
CREATE INDEX events_marks ON events (session, kind, seq)
    WHERE kind = 'user_message' OR kind = 'model_reply' OR kind = 'turn_ended'
       OR kind = 'delivered' OR kind = 'session_closed';
