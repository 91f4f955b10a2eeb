"""The SQL of the PostgreSQL store, by name. Parameters are named as in the port; times of events are seconds since
the epoch, the leases of owners go by the database's own clock.

Every write to a session locks its row first and decides in a later statement: under READ COMMITTED a statement sees
what was committed before it began, not what was committed while it waited for the lock.
"""

from typing import Final

CHANNEL: Final = "agent_mcp"
"""Where the id of a session is told that has grown."""

# A transaction of its own and not part of the write: PostgreSQL lets those that notify commit only one by one,
# each with its own wait for the disk. This one need not wait: lost, it is made up for by the poll.
TELL: Final = """
SELECT set_config('synchronous_commit', 'off', true), pg_notify('agent_mcp', session)
FROM unnest(%(sessions)b::text[]) AS told (session)
"""

# --- writing -----------------------------------------------------------------------------------------------

# A client that vanishes in the middle of its transaction must not keep the session's row from all others.
LOCK: Final = """
SELECT head, epoch, title IS NULL AS untitled, agent,
    set_config('idle_in_transaction_session_timeout', '5s', true) AS idle
FROM agent_mcp.sessions WHERE id = %(session)s FOR UPDATE
"""

INSERT_SESSION: Final = """
INSERT INTO agent_mcp.sessions
    (id, head, epoch, config, origin, principal, parent, created, updated, agent, title, search)
VALUES (%(id)s, 0, 0, %(config)s, %(origin)s, %(principal)s, %(parent)s, %(at)s, %(at)s,
    %(agent)s, %(title)s, %(search)s)
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

SET_TITLE: Final = """
UPDATE agent_mcp.sessions SET title = %(title)s, search = %(search)s WHERE id = %(session)s
"""

# The whole of an append: no row where there is no such session, or (fenced) where a later claim ended this epoch.
_APPEND: Final = """
WITH advanced AS (
    UPDATE agent_mcp.sessions
    SET head = head + %(count)s::int, updated = greatest(updated, %(at)s::float8),
        closed = closed OR %(closes)s::boolean
    WHERE id = %(session)s AND (%(epoch)s::int IS NULL OR epoch = %(epoch)s::int)
    RETURNING head
), added AS (
    INSERT INTO agent_mcp.events (session, seq, turn, kind, data, at)
    SELECT %(session)s, advanced.head - %(count)s::int + e.n, e.turn, e.kind, e.data, %(at)s::float8
    FROM advanced, unnest(%(turns)b::int[], %(kinds)b::text[], %(data)b::text[])
        WITH ORDINALITY AS e (turn, kind, data, n)
)"""
_HEAD: Final = "SELECT head FROM advanced"

APPEND: Final = f"{_APPEND}\n{_HEAD}"

# With it what it adds to the figures of a day.
APPEND_AND_CHARGE: Final = f"""{_APPEND}, charged AS (
    INSERT INTO agent_mcp.spending AS s
        (day, principal, agent, steps, tool_calls, input_tokens, output_tokens, cost_usd, seconds)
    SELECT %(day)s, %(principal)s, %(agent)s, %(steps)s, %(tool_calls)s, %(input_tokens)s, %(output_tokens)s,
        %(cost_usd)s, %(seconds)s
    FROM advanced
    ON CONFLICT (day, principal, agent) DO UPDATE SET
        steps = s.steps + excluded.steps,
        tool_calls = s.tool_calls + excluded.tool_calls,
        input_tokens = s.input_tokens + excluded.input_tokens,
        output_tokens = s.output_tokens + excluded.output_tokens,
        cost_usd = s.cost_usd + excluded.cost_usd,
        seconds = s.seconds + excluded.seconds
)
{_HEAD}"""

# Whether what was written is there, where nobody heard the answer to its COMMIT. Events carry the time of their
# writer's own clock, so no other writer's are taken for them.
APPENDED_AT: Final = """
SELECT seq, kind, data FROM agent_mcp.events
WHERE session = %(session)s AND at = %(at)s::float8 AND turn = ANY(%(turns)b::int[])
ORDER BY seq
"""
APPENDED: Final = """
SELECT 1 FROM agent_mcp.events
WHERE session = %(session)s AND seq = %(seq)s AND at = %(at)s::float8 AND kind = %(kind)s AND data = %(data)s
"""
CREATED: Final = "SELECT 1 FROM agent_mcp.sessions WHERE id = %(session)s AND created = %(at)s::float8"
DELETED: Final = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM agent_mcp.sessions WHERE id = %(session)s)"

INSERT_TURN: Final = """
INSERT INTO agent_mcp.turns (session, n, status, claims) VALUES (%(session)s, %(turn)s, %(status)s, 0)
"""

# All that decides what becomes of a message, in one look.
SUBMIT_STATE: Final = """
SELECT
    s.closed AS closed,
    t.n AS turn,
    t.status AS status,
    EXISTS (
        SELECT 1 FROM agent_mcp.events WHERE session = s.id AND kind = 'delivered' AND turn = t.n
    ) AS delivered,
    (SELECT data FROM agent_mcp.events WHERE session = s.id AND kind = 'user_message'
     ORDER BY seq DESC LIMIT 1) AS newest
FROM agent_mcp.sessions AS s
LEFT JOIN agent_mcp.turns AS t
    ON t.session = s.id AND t.n = (SELECT max(n) FROM agent_mcp.turns WHERE session = s.id)
WHERE s.id = %(session)s
"""

NEWEST_REPLY: Final = """
SELECT data FROM agent_mcp.events WHERE session = %(session)s AND kind = 'model_reply' ORDER BY seq DESC LIMIT 1
"""

LAST_END: Final = """
SELECT coalesce(max(seq), 0) FROM agent_mcp.events WHERE session = %(session)s AND kind = 'turn_ended'
"""

COUNT_MESSAGES_AFTER: Final = """
SELECT count(*) FROM agent_mcp.events
WHERE session = %(session)s AND kind = 'user_message' AND seq > %(after)s
"""

CLAIM_STATE: Final = """
SELECT
    t.status AS status,
    t.owner AS owner,
    t.claims AS claims,
    coalesce(t.claimed_head = s.head, false) AS stuck,
    EXISTS (
        SELECT 1 FROM agent_mcp.turns WHERE session = s.id AND n < t.n AND status <> 'done'
    ) AS waits,
    EXISTS (SELECT 1 FROM agent_mcp.owners WHERE id = t.owner AND expires > clock_timestamp()) AS alive
FROM agent_mcp.turns AS t JOIN agent_mcp.sessions AS s ON s.id = t.session
WHERE t.session = %(session)s AND t.n = %(turn)s
"""

BUMP_EPOCH: Final = """
UPDATE agent_mcp.sessions SET epoch = epoch + 1 WHERE id = %(session)s RETURNING epoch, head
"""

OWN_TURN: Final = """
UPDATE agent_mcp.turns
SET status = 'running', owner = %(owner)s, claims = %(claims)s, claimed_head = %(head)s
WHERE session = %(session)s AND n = %(turn)s
"""

CLAIMED: Final = """
SELECT 1 FROM agent_mcp.turns AS t JOIN agent_mcp.sessions AS s ON s.id = t.session
WHERE t.session = %(session)s AND t.n = %(turn)s AND t.owner = %(owner)s AND s.epoch = %(epoch)s
"""

HOLDS_CLAIM: Final = """
SELECT 1 FROM agent_mcp.turns AS t JOIN agent_mcp.sessions AS s ON s.id = t.session
WHERE t.session = %(session)s AND t.n = %(turn)s AND t.status = 'running' AND s.epoch = %(epoch)s
"""

FINISH_TURN: Final = """
UPDATE agent_mcp.turns SET status = 'done', owner = NULL WHERE session = %(session)s AND n = %(turn)s
"""

IS_UNFINISHED: Final = """
SELECT 1 FROM agent_mcp.turns WHERE session = %(session)s AND n = %(turn)s AND status <> 'done'
"""

AT_WORK: Final = """
SELECT 1 FROM agent_mcp.turns AS t JOIN agent_mcp.owners AS o ON o.id = t.owner
WHERE t.session = %(session)s AND t.status = 'running' AND o.expires > clock_timestamp()
LIMIT 1
"""

DELETE: Final = (
    "DELETE FROM agent_mcp.turns WHERE session = %(session)s",
    "DELETE FROM agent_mcp.events WHERE session = %(session)s",
    "DELETE FROM agent_mcp.sessions WHERE id = %(session)s",
)

# --- owners ------------------------------------------------------------------------------------------------

BEAT: Final = """
INSERT INTO agent_mcp.owners (id, expires)
VALUES (%(owner)s, clock_timestamp() + make_interval(secs => %(seconds)s::float8))
ON CONFLICT (id) DO UPDATE SET expires = excluded.expires
"""

RESIGN: Final = "DELETE FROM agent_mcp.owners WHERE id = %(owner)s"

FORGET_DEAD: Final = "DELETE FROM agent_mcp.owners WHERE expires < clock_timestamp() - interval '1 day'"

# --- reading -----------------------------------------------------------------------------------------------

SESSION: Final = """
SELECT id, head, config, created, updated, parent, origin, principal
FROM agent_mcp.sessions WHERE id = %(session)s
"""

HEADS: Final = "SELECT id, head FROM agent_mcp.sessions WHERE id = ANY(%(sessions)s)"

EVENTS: Final = """
SELECT seq, turn, at, kind, data FROM agent_mcp.events
WHERE session = %(session)s AND seq > %(after)s ORDER BY seq
"""

# The first unfinished turn of each session, those that have waited longest first, without those of living others.
UNFINISHED: Final = """
SELECT t.session, t.n, t.status, t.owner
FROM (
    SELECT session, min(n) AS n FROM agent_mcp.turns WHERE status <> 'done' GROUP BY session
) AS first
JOIN agent_mcp.turns AS t ON t.session = first.session AND t.n = first.n
JOIN agent_mcp.sessions AS s ON s.id = t.session
LEFT JOIN agent_mcp.owners AS o ON o.id = t.owner AND o.expires > clock_timestamp()
WHERE o.id IS NULL OR o.id = %(owner)s
ORDER BY s.updated, s.id
"""

SPENT: Final = """
SELECT coalesce(sum(steps), 0)::bigint, coalesce(sum(tool_calls), 0)::bigint,
    coalesce(sum(input_tokens), 0)::bigint, coalesce(sum(output_tokens), 0)::bigint,
    coalesce(sum(cost_usd), 0), coalesce(sum(seconds), 0)
FROM agent_mcp.spending
WHERE day = %(day)s AND principal = %(principal)s
    AND (%(agent)s::text IS NULL OR agent = %(agent)s::text)
"""

COUNT_UNFINISHED: Final = "SELECT count(*) FROM agent_mcp.turns WHERE status <> 'done'"

COUNT_UNFINISHED_OF: Final = """
SELECT count(*) FROM agent_mcp.turns AS t JOIN agent_mcp.sessions AS s ON s.id = t.session
WHERE t.status <> 'done' AND s.principal = %(principal)s
"""

COUNT_OPEN: Final = "SELECT count(*) FROM agent_mcp.sessions WHERE principal = %(principal)s AND NOT closed"

# The subqueries on the outside run for the page alone.
_LISTING: Final = """
SELECT
    id, agent, created, updated, title,
    (SELECT coalesce(max(n), 0) FROM agent_mcp.turns WHERE session = page.id),
    (SELECT status FROM agent_mcp.turns WHERE session = page.id ORDER BY n DESC LIMIT 1),
    closed
FROM (
    SELECT id, agent, created, updated, title, closed
    FROM agent_mcp.sessions AS s
    WHERE (%(principal)s::text IS NULL OR principal = %(principal)s::text)
        AND (%(query)s::text = '' OR position(%(query)s::text IN search) > 0)
        AND (%(before_at)s::float8 IS NULL
            OR (updated, id) < (%(before_at)s::float8, %(before_id)s::text))"""
_NEWEST: Final = """
    ORDER BY updated DESC, id DESC
    LIMIT %(limit)s
) AS page
ORDER BY updated DESC, id DESC
"""
LISTING: Final = f"{_LISTING}{_NEWEST}"
LISTING_CLOSED: Final = f"{_LISTING} AND closed{_NEWEST}"
LISTING_IDLE: Final = f"""{_LISTING} AND NOT closed
        AND NOT EXISTS (SELECT 1 FROM agent_mcp.turns WHERE session = s.id AND status <> 'done'){_NEWEST}"""
# Few at any time: found by their turns and not by the list.
LISTING_UNFINISHED: Final = f"""{_LISTING} AND NOT closed
        AND id IN (SELECT session FROM agent_mcp.turns WHERE status <> 'done'){_NEWEST}"""
