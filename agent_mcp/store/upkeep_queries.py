"""The SQL of blobs, archives and pruning, by name. Parameters are named as in the port."""

# --- blobs -------------------------------------------------------------------------------------------------

INSERT_BLOB = "INSERT INTO blobs (hash, data) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING"
INSERT_BLOB_REF = "INSERT INTO blob_refs (session, seq, hash) VALUES (?, ?, ?)"
BLOB = "SELECT data FROM blobs WHERE hash = ?"

# Before the session's own references go: those blobs that nobody else refers to.
DELETE_BLOBS = """
DELETE FROM blobs
WHERE hash IN (SELECT hash FROM blob_refs WHERE session = :session)
    AND NOT EXISTS (SELECT 1 FROM blob_refs AS r WHERE r.hash = blobs.hash AND r.session <> :session)
"""
DELETE_BLOB_REFS = "DELETE FROM blob_refs WHERE session = :session"

# --- archives ----------------------------------------------------------------------------------------------

ARCHIVE = """
SELECT id, config, head, created, updated, parent, origin, principal FROM sessions WHERE id = ?
"""
ARCHIVED_TURNS = """
SELECT n, CASE status WHEN 'done' THEN 'done' ELSE 'queued' END FROM turns WHERE session = ? ORDER BY n
"""
RAW_EVENTS = """
SELECT seq, turn, at, kind, data FROM events WHERE session = ? AND seq > ? AND seq <= ? ORDER BY seq
"""
RESTORE_SESSION = """
INSERT INTO sessions (id, head, epoch, config, origin, principal, parent, created, updated)
VALUES (:id, :head, 0, :profile, :origin, :principal, :forked_from, :created_at, :updated_at)
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

# Over an index, which is much smaller than the table.
COUNT_SESSIONS = "SELECT count(*) FROM sessions"

# --- pruning -----------------------------------------------------------------------------------------------

EXPIRED = """
SELECT id FROM sessions AS s
WHERE (updated < :before OR id IN (SELECT id FROM sessions ORDER BY updated DESC, id DESC LIMIT -1 OFFSET :keep))
    AND NOT EXISTS (SELECT 1 FROM turns WHERE session = s.id AND status <> 'done')
ORDER BY updated, id
LIMIT :limit
"""

PAGES = "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
