-- What became of the messages that turns queued, and small facts that outlive a conversation.
CREATE TABLE deliveries (
    conversation INTEGER NOT NULL REFERENCES conversations (number),
    message TEXT NOT NULL,
    body BLOB NOT NULL,             -- JSON of the delivery
    PRIMARY KEY (conversation, message)
) WITHOUT ROWID;

CREATE TABLE facts (
    account_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    body BLOB NOT NULL,             -- JSON
    at TEXT NOT NULL,
    expires_at TEXT,
    PRIMARY KEY (account_id, agent_id, kind, key)
) WITHOUT ROWID;
CREATE INDEX facts_expiring ON facts (expires_at) WHERE expires_at IS NOT NULL;
