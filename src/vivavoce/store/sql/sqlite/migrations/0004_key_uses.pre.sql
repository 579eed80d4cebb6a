-- When each key was last used, to the minute.
CREATE TABLE key_uses (
    key TEXT PRIMARY KEY,
    at TEXT NOT NULL
) WITHOUT ROWID;
