-- The record: trees, deployments, conversations, turns, and what waits to be done.
CREATE TABLE trees (
    hash TEXT PRIMARY KEY,
    files BLOB NOT NULL,            -- zlib of a msgpack map path -> content
    created_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE deployments (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    environment TEXT NOT NULL,
    tree TEXT NOT NULL REFERENCES trees (hash),
    created_at TEXT NOT NULL
);
CREATE INDEX deployments_active ON deployments (account_id, agent_id, environment, created_at DESC);

CREATE TABLE conversations (
    number INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    id TEXT NOT NULL,
    started_at TEXT NOT NULL,
    turns INTEGER NOT NULL,
    is_ended INTEGER NOT NULL,
    head BLOB NOT NULL,             -- JSON of the conversation
    UNIQUE (account_id, agent_id, id)
);
CREATE INDEX conversations_newest ON conversations (agent_id, started_at DESC, number DESC);

CREATE TABLE snapshots (
    conversation INTEGER PRIMARY KEY REFERENCES conversations (number),
    body BLOB NOT NULL,
    state BLOB NOT NULL,            -- a pickle that only a worker opens
    view BLOB NOT NULL              -- the same state as JSON
);

CREATE TABLE turns (
    conversation INTEGER NOT NULL REFERENCES conversations (number),
    position INTEGER NOT NULL,
    body BLOB NOT NULL,
    state BLOB,                     -- the pickle after the turn, when the turn changed it
    PRIMARY KEY (conversation, position)
) WITHOUT ROWID;

CREATE TABLE closings (
    conversation INTEGER PRIMARY KEY REFERENCES conversations (number),
    body BLOB NOT NULL
);

-- Author text by content hash: prompts, topics, tools.
CREATE TABLE texts (
    hash TEXT PRIMARY KEY,
    body BLOB NOT NULL              -- zlib
) WITHOUT ROWID;

CREATE TABLE replies (
    account_id TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    expires_at TEXT NOT NULL,
    PRIMARY KEY (account_id, key)
) WITHOUT ROWID;

CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    body BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE work (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    due_at TEXT NOT NULL,
    lease TEXT,                     -- who holds it, while somebody does
    leased_until TEXT,
    attempts INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE INDEX work_due ON work (due_at);

-- A turn is appended by one INSERT here. Each statement that Python runs hands the interpreter over and has to get it
-- back, which under load costs more than the statement: so the whole append is one.
CREATE VIEW appended_turns AS
SELECT c.account_id, c.agent_id, c.id, c.turns AS expected, c.turns, c.is_ended, c.head, t.body, t.state,
       s.body AS snapshot_body, s.state AS snapshot_state, s.view AS snapshot_view
FROM conversations c JOIN turns t ON t.conversation = c.number JOIN snapshots s ON s.conversation = c.number;

CREATE TRIGGER append_turn INSTEAD OF INSERT ON appended_turns
BEGIN
    -- Only from the expected position, and never after the end.
    UPDATE conversations SET turns = NEW.turns, is_ended = NEW.is_ended, head = NEW.head
    WHERE account_id = NEW.account_id AND agent_id = NEW.agent_id AND id = NEW.id AND turns = NEW.expected AND is_ended = 0;
    SELECT RAISE(ABORT, 'position') WHERE changes() = 0;
    INSERT INTO turns (conversation, position, body, state)
    SELECT number, NEW.expected, NEW.body, NEW.state FROM conversations
    WHERE account_id = NEW.account_id AND agent_id = NEW.agent_id AND id = NEW.id;
    UPDATE snapshots SET body = NEW.snapshot_body, state = NEW.snapshot_state, view = NEW.snapshot_view
    WHERE conversation = (
        SELECT number FROM conversations WHERE account_id = NEW.account_id AND agent_id = NEW.agent_id AND id = NEW.id
    );
END;
