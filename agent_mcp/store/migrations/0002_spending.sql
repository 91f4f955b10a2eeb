-- What each principal's sessions spent by day and agent: sums that are written with the events that they come from, and
-- that outlive their sessions. Budgets of a day are held against them.

CREATE TABLE spending (
    day TEXT NOT NULL,            -- UTC, as 2026-11-22
    principal TEXT NOT NULL,
    agent TEXT NOT NULL,          -- empty for the nameless one
    steps INTEGER NOT NULL,
    tool_calls INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL,       -- of replies with a known price
    seconds REAL NOT NULL,
    PRIMARY KEY (day, principal, agent)
) WITHOUT ROWID;
