-- What a list of sessions shows and seeks, kept beside the log: at 100,000 sessions a page must not look at each.

ALTER TABLE sessions ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN title TEXT;                       -- NULL until the first message
ALTER TABLE sessions ADD COLUMN sought TEXT NOT NULL DEFAULT '';  -- id, agent and title, folded

UPDATE sessions SET
    closed = EXISTS (SELECT 1 FROM events WHERE session = sessions.id AND kind = 'session_closed'),
    title = (SELECT title(json_extract(data, '$.text')) FROM events
             WHERE session = sessions.id AND kind = 'user_message' ORDER BY seq LIMIT 1);
UPDATE sessions SET sought = sought(id, json_extract(config, '$.agent'), title);

-- Holds all that a page is chosen by. Open and closed sessions apart, so that few among many are found at once.
CREATE INDEX sessions_listed ON sessions (principal, closed, updated, id, sought);
