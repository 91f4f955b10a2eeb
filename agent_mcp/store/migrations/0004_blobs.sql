-- Large contents of results, once each by what they say. An event refers to one by its hash (see `blobs.py`).

CREATE TABLE blobs (
    hash TEXT PRIMARY KEY,        -- SHA-256 of the UTF-8 text, hexadecimal
    data TEXT NOT NULL
);

-- Which events use it: the last one takes it along.
CREATE TABLE blob_refs (
    session TEXT NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (session, seq, hash)
) WITHOUT ROWID;

CREATE INDEX blob_refs_hash ON blob_refs (hash, session);
