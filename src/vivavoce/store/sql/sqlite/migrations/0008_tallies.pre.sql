-- What is counted of ended conversations, by day. Each is counted once; what was counted stays when it is erased.
CREATE TABLE tallies (
    scope INTEGER NOT NULL,
    part TEXT NOT NULL,             -- outcome, inside
    day TEXT NOT NULL,
    environment TEXT NOT NULL,
    body BLOB NOT NULL,             -- msgpack: name -> count
    PRIMARY KEY (scope, part, day, environment)
) WITHOUT ROWID;
ALTER TABLE conversations ADD COLUMN is_tallied INTEGER NOT NULL DEFAULT 0;
CREATE INDEX conversations_untallied ON conversations (number) WHERE is_ended = 1 AND is_tallied = 0;
