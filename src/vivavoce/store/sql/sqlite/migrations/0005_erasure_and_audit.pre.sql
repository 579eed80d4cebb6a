-- What erasure leaves behind, and who saw and changed what. Both outlive what they speak of, and hold no personal data.
CREATE TABLE receipts (
    id TEXT PRIMARY KEY,
    body BLOB NOT NULL              -- JSON, signed
) WITHOUT ROWID;

-- A chain: each hash covers its entry and the hash before, with a key that is not in here.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    body BLOB NOT NULL,             -- JSON of the entry
    hash BLOB NOT NULL
);
-- The last number and hash, under a hash of their own: what is cut off the end is missed.
CREATE TABLE audit_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL,
    hash BLOB NOT NULL,
    seal BLOB NOT NULL
);
