-- Full text by keyed hashes of words, which keeps no text: one document a conversation, once with personal data and once
-- without. What a document holds is kept sealed, since FTS5 must be told it to take it out again.
CREATE VIRTUAL TABLE words USING fts5 (said_user, said_agent, content='', tokenize='ascii');
CREATE VIRTUAL TABLE redacted_words USING fts5 (said_user, said_agent, content='', tokenize='ascii');
CREATE TABLE documents (
    conversation INTEGER PRIMARY KEY REFERENCES conversations (number),
    body BLOB NOT NULL              -- sealed: the two columns of each index
);

-- One vector a conversation for search by meaning, once with personal data and once without. Overwritten before it goes.
CREATE TABLE vectors (
    conversation INTEGER PRIMARY KEY REFERENCES conversations (number),
    scope INTEGER NOT NULL,
    model TEXT NOT NULL,
    plain BLOB NOT NULL,            -- 16-bit floats
    redacted BLOB NOT NULL
);
CREATE INDEX vectors_of ON vectors (scope, conversation);
