-- The record under seal: what holds a conversation's values is encrypted under the conversation's own key, and what it
-- is found by is a keyed hash. Old rows are put aside here and carried over by the program, which has the keys.
DROP TRIGGER append_turn;
DROP VIEW appended_turns;
DROP INDEX conversations_newest;
DROP INDEX work_due;
DROP INDEX facts_expiring;
ALTER TABLE conversations RENAME TO old_conversations;
ALTER TABLE snapshots RENAME TO old_snapshots;
ALTER TABLE turns RENAME TO old_turns;
ALTER TABLE closings RENAME TO old_closings;
ALTER TABLE deliveries RENAME TO old_deliveries;
ALTER TABLE facts RENAME TO old_facts;
ALTER TABLE work RENAME TO old_work;
DROP TABLE replies;                 -- they live for a day; a retry across the upgrade is answered anew

-- Never deleted, only overwritten with zeros: a row that goes could leave its bytes in a page that was once split.
CREATE TABLE seals (
    number INTEGER PRIMARY KEY,
    wrapped BLOB NOT NULL
);

CREATE TABLE seal_mark (mark BLOB NOT NULL);     -- tells the master key from others

CREATE TABLE scopes (
    number INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    UNIQUE (account_id, agent_id)
);

CREATE TABLE conversations (
    number INTEGER PRIMARY KEY,     -- microseconds since 1970 at which it began, moved on to the next free one
    scope INTEGER NOT NULL REFERENCES scopes (number),
    name BLOB NOT NULL UNIQUE,      -- keyed hash of account, agent and id
    seal INTEGER NOT NULL REFERENCES seals (number),
    turns INTEGER NOT NULL,
    is_ended INTEGER NOT NULL,
    duration INTEGER,               -- seconds, once ended
    score INTEGER,
    dice INTEGER NOT NULL,          -- a random number, to take samples by
    head BLOB NOT NULL,             -- sealed JSON of the conversation
    review BLOB,                    -- sealed JSON: note, tags, annotations, summary, score
    facets BLOB NOT NULL            -- msgpack: what wrote them -> facets
);
CREATE INDEX conversations_by_duration ON conversations (scope, duration, number) WHERE duration IS NOT NULL;
CREATE INDEX conversations_by_score ON conversations (scope, score, number) WHERE score IS NOT NULL;
CREATE INDEX conversations_by_dice ON conversations (scope, dice, number);

-- What conversations are found by: keyed hashes of names and values. How many have each is kept beside.
CREATE TABLE facets (
    facet INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (facet, number)
) WITHOUT ROWID;
CREATE TABLE facet_counts (facet INTEGER PRIMARY KEY, count INTEGER NOT NULL);
CREATE TRIGGER facet_added AFTER INSERT ON facets BEGIN
    INSERT INTO facet_counts (facet, count) VALUES (NEW.facet, 1) ON CONFLICT (facet) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER facet_removed AFTER DELETE ON facets BEGIN
    UPDATE facet_counts SET count = count - 1 WHERE facet = OLD.facet;
    DELETE FROM facet_counts WHERE facet = OLD.facet AND count = 0;
END;

CREATE TABLE snapshots (
    conversation INTEGER PRIMARY KEY REFERENCES conversations (number),
    body BLOB NOT NULL              -- sealed: the snapshot, its pickle that only a worker opens, the same as JSON
);

CREATE TABLE turns (
    conversation INTEGER NOT NULL REFERENCES conversations (number),
    position INTEGER NOT NULL,
    said BLOB NOT NULL,             -- sealed JSON: the transcript of the turn
    body BLOB NOT NULL,             -- sealed JSON: how it came to be
    state BLOB,                     -- sealed: the pickle after the turn, when the turn changed it
    PRIMARY KEY (conversation, position)
) WITHOUT ROWID;

CREATE TABLE closings (
    conversation INTEGER PRIMARY KEY REFERENCES conversations (number),
    body BLOB NOT NULL              -- sealed
);

CREATE TABLE deliveries (
    conversation INTEGER NOT NULL REFERENCES conversations (number),
    message TEXT NOT NULL,
    body BLOB NOT NULL,             -- sealed JSON of the delivery
    PRIMARY KEY (conversation, message)
) WITHOUT ROWID;

CREATE TABLE replies (
    name BLOB PRIMARY KEY,          -- keyed hash of account and idempotency key
    conversation INTEGER NOT NULL REFERENCES conversations (number),
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,             -- sealed
    expires_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX replies_of ON replies (conversation);
CREATE INDEX replies_expiring ON replies (expires_at);

CREATE TABLE facts (
    name BLOB PRIMARY KEY,          -- keyed hash of account, agent, kind and key
    kind TEXT NOT NULL,
    seal INTEGER REFERENCES seals (number), -- of its own; none when it comes from no conversation
    body BLOB NOT NULL,             -- JSON, sealed where there is a seal
    at TEXT NOT NULL,
    expires_at TEXT
) WITHOUT ROWID;
CREATE INDEX facts_expiring ON facts (expires_at) WHERE expires_at IS NOT NULL;
-- Which conversations a fact came from, by name: a fact may be there before its conversation is.
CREATE TABLE fact_sources (
    conversation BLOB NOT NULL,
    fact BLOB NOT NULL,
    PRIMARY KEY (conversation, fact)
) WITHOUT ROWID;
CREATE INDEX fact_sources_of ON fact_sources (fact);

CREATE TABLE work (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    conversation INTEGER NOT NULL,  -- 0: it belongs to none
    due_at TEXT NOT NULL,
    lease TEXT,                     -- who holds it, while somebody does
    leased_until TEXT,
    attempts INTEGER NOT NULL,
    payload BLOB NOT NULL,          -- JSON; nothing of a conversation's values
    PRIMARY KEY (kind, key, conversation)
) WITHOUT ROWID;
CREATE INDEX work_due ON work (due_at);
CREATE INDEX work_of ON work (conversation);

-- A turn is appended by one INSERT here. Each statement that Python runs hands the interpreter over and has to get it
-- back, which under load costs more than the statement: so the whole append is one.
CREATE VIEW appended_turns AS
SELECT c.number, c.turns AS expected, c.turns, c.is_ended, c.head, t.said, t.body, t.state, s.body AS snapshot
FROM conversations c JOIN turns t ON t.conversation = c.number JOIN snapshots s ON s.conversation = c.number;

CREATE TRIGGER append_turn INSTEAD OF INSERT ON appended_turns
BEGIN
    -- Only from the expected position, and never after the end.
    UPDATE conversations SET turns = NEW.turns, is_ended = NEW.is_ended, head = NEW.head
    WHERE number = NEW.number AND turns = NEW.expected AND is_ended = 0;
    SELECT RAISE(ABORT, 'position') WHERE changes() = 0;
    INSERT INTO turns (conversation, position, said, body, state)
    VALUES (NEW.number, NEW.expected, NEW.said, NEW.body, NEW.state);
    UPDATE snapshots SET body = NEW.snapshot WHERE conversation = NEW.number;
END;
