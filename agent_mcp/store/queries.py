"""The SQL of the SQLite store, by name. Parameters are named as in the port; times are seconds since the epoch.

`kind` is compared with literals throughout: SQLite uses the partial index `events_marks` only where it can prove
its condition from the text of the query.
"""

# --- writing -----------------------------------------------------------------------------------------------

INSERT_SESSION = """
INSERT INTO sessions (id, head, epoch, config, origin, principal, parent, created, updated)
VALUES (:id, 0, 0, :config, :origin, :principal, :parent, :at, :at)
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

# Reserves the next sequence numbers. No row: no such session, or (fenced) a later claim has ended this epoch.
ADVANCE = "UPDATE sessions SET head = head + ?, updated = ? WHERE id = ? RETURNING head"
ADVANCE_FENCED = "UPDATE sessions SET head = head + ?, updated = ? WHERE id = ? AND epoch = ? RETURNING head"

INSERT_EVENT = "INSERT INTO events (session, seq, turn, kind, data, at) VALUES (?, ?, ?, ?, ?, ?)"

INSERT_TURN = "INSERT INTO turns (session, n, status, claims) VALUES (?, ?, ?, 0)"

# All that decides what becomes of a message, in one look.
SUBMIT_STATE = """
SELECT
    EXISTS (SELECT 1 FROM events WHERE session = s.id AND kind = 'session_closed') AS closed,
    t.n AS turn,
    t.status AS status,
    EXISTS (SELECT 1 FROM events WHERE session = s.id AND kind = 'delivered' AND turn = t.n) AS delivered,
    (SELECT data FROM events WHERE session = s.id AND kind = 'user_message' ORDER BY seq DESC LIMIT 1) AS newest
FROM sessions AS s
LEFT JOIN turns AS t ON t.session = s.id AND t.n = (SELECT max(n) FROM turns WHERE session = s.id)
WHERE s.id = ?
"""

NEWEST_REPLY = "SELECT data FROM events WHERE session = ? AND kind = 'model_reply' ORDER BY seq DESC LIMIT 1"

LAST_END = "SELECT coalesce(max(seq), 0) FROM events WHERE session = ? AND kind = 'turn_ended'"

COUNT_MESSAGES_AFTER = "SELECT count(*) FROM events WHERE session = ? AND kind = 'user_message' AND seq > ?"

HAS_MESSAGE_AFTER = "SELECT 1 FROM events WHERE session = ? AND kind = 'user_message' AND seq > ? LIMIT 1"

CLAIM_STATE = """
SELECT
    t.status AS status,
    t.owner AS owner,
    t.claims AS claims,
    t.claimed_head = s.head AS stuck,
    EXISTS (SELECT 1 FROM turns WHERE session = s.id AND n < t.n AND status <> 'done') AS waits
FROM turns AS t JOIN sessions AS s ON s.id = t.session
WHERE t.session = ? AND t.n = ?
"""

BUMP_EPOCH = "UPDATE sessions SET epoch = epoch + 1 WHERE id = ? RETURNING epoch, head"

OWN_TURN = """
UPDATE turns SET status = 'running', owner = :owner, claims = :claims, claimed_head = :head
WHERE session = :session AND n = :turn
"""

HOLDS_CLAIM = """
SELECT 1 FROM turns AS t JOIN sessions AS s ON s.id = t.session
WHERE t.session = ? AND t.n = ? AND t.status = 'running' AND s.epoch = ?
"""

FINISH_TURN = "UPDATE turns SET status = 'done', owner = NULL WHERE session = ? AND n = ?"

IS_UNFINISHED = "SELECT 1 FROM turns WHERE session = ? AND n = ? AND status <> 'done'"

RUNNING_OWNERS = "SELECT owner FROM turns WHERE session = ? AND status = 'running'"

DELETE_SESSION = "DELETE FROM sessions WHERE id = ? RETURNING id"
DELETE_TURNS = "DELETE FROM turns WHERE session = ?"
DELETE_EVENTS = "DELETE FROM events WHERE session = ?"

FLUSHED = "PRAGMA synchronous=FULL"
UNFLUSHED = "PRAGMA synchronous=NORMAL"

# Of the event that was stored last, in whichever session.
NEWEST_TIME = "SELECT at FROM events ORDER BY rowid DESC LIMIT 1"

# Changes nothing and yet writes a page, so that its commit has something to flush, and all before it along.
TOUCH = "UPDATE meta SET schema_version = schema_version"

FIGURES = ("steps", "tool_calls", "input_tokens", "output_tokens", "cost_usd", "seconds")

CHARGE = f"""
INSERT INTO spending (day, principal, agent, {", ".join(FIGURES)})
VALUES (:day, :principal, :agent, {", ".join(f":{name}" for name in FIGURES)})
ON CONFLICT (day, principal, agent) DO UPDATE SET
    {", ".join(f"{name} = spending.{name} + excluded.{name}" for name in FIGURES)}
"""

# --- reading -----------------------------------------------------------------------------------------------

SESSION = "SELECT id, head, config, created, updated, parent, origin, principal FROM sessions WHERE id = ?"

HEAD = "SELECT head FROM sessions WHERE id = ?"

EVENTS = "SELECT seq, turn, at, kind, data FROM events WHERE session = ? AND seq > ? ORDER BY seq"

# The first unfinished turn of each session, those that have waited longest first.
UNFINISHED = """
SELECT t.session, t.n, t.status, t.owner
FROM (SELECT session, min(n) AS n FROM turns WHERE status <> 'done' GROUP BY session) AS first
JOIN turns AS t ON t.session = first.session AND t.n = first.n
JOIN sessions AS s ON s.id = t.session
ORDER BY s.updated, s.id
"""

SPENT = f"""
SELECT {", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in FIGURES)} FROM spending
WHERE day = :day AND principal = :principal AND (:agent IS NULL OR agent = :agent)
"""

COUNT_UNFINISHED = "SELECT count(*) FROM turns WHERE status <> 'done'"

COUNT_UNFINISHED_OF = """
SELECT count(*) FROM turns AS t JOIN sessions AS s ON s.id = t.session
WHERE t.status <> 'done' AND s.principal = ?
"""

COUNT_OPEN = "SELECT count(*) FROM sessions WHERE principal = ? AND closed = 0"

DATA_VERSION = "PRAGMA data_version"
