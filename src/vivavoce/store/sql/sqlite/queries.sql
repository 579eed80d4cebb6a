-- name: list_deployments
SELECT id, account_id, agent_id, environment, tree, created_at, kind, created_by, message, source, git_commit
FROM deployments WHERE account_id = :account_id AND agent_id = :agent_id AND environment = :environment
ORDER BY created_at DESC, rowid DESC LIMIT :limit;

-- name: destroy_seal
-- In place, and of the same length: no copy of it is left in the file.
UPDATE seals SET wrapped = zeroblob(length(wrapped)) WHERE number = :number;

-- name: add_conversation
INSERT INTO conversations (number, scope, name, seal, turns, is_ended, duration, dice, head, facets)
VALUES (:number, :scope, :name, :seal, :turns, :is_ended, :duration, :dice, :head, x'80');

-- name: hold_conversation
-- Nothing here: there is one writer. Elsewhere, no other one comes between from now on.
SELECT 1;

-- name: append_turn
INSERT INTO appended_turns (number, expected, turns, is_ended, head, said, body, state, snapshot)
VALUES (:number, :expected, :turns, :is_ended, :head, :said, :body, :state, :snapshot);

-- name: advance_conversation
-- Only from the expected position, and never after the end.
UPDATE conversations SET turns = :turns, is_ended = :is_ended, head = :head
WHERE number = :number AND turns = :expected AND is_ended = 0 RETURNING number;

-- name: facet_count
SELECT count FROM facet_counts WHERE facet = :facet;

-- name: get_turns
SELECT position, said, body FROM turns
WHERE conversation = :conversation AND position BETWEEN :first AND :last ORDER BY position;

-- name: due_work
SELECT w.kind, w.key, w.conversation, w.due_at, w.attempts, w.payload, c.head, s.wrapped
FROM work w LEFT JOIN conversations c ON c.number = w.conversation LEFT JOIN seals s ON s.number = c.seal
WHERE w.due_at <= :now AND (w.leased_until IS NULL OR w.leased_until <= :now) ORDER BY w.due_at LIMIT :limit;

-- name: next_due
SELECT min(at) FROM (
    SELECT * FROM (SELECT due_at AS at FROM work WHERE leased_until IS NULL ORDER BY due_at LIMIT 1)
    UNION ALL SELECT min(leased_until) FROM work WHERE leased_until IS NOT NULL
);

-- name: take_fact
INSERT INTO facts (name, kind, body, at) VALUES (:name, :kind, x'', :at) ON CONFLICT (name) DO NOTHING RETURNING 1;

-- name: seal_of_fact
SELECT f.seal, s.wrapped FROM facts f JOIN seals s ON s.number = f.seal WHERE f.name = :name;

-- name: expired_facts
SELECT name FROM facts WHERE expires_at <= :now;

-- name: destroy_seal_of_fact
UPDATE seals SET wrapped = zeroblob(length(wrapped)) WHERE number = (SELECT seal FROM facts WHERE name = :name);

-- name: put_key_use
INSERT INTO key_uses (key, at) VALUES (:key, :at) ON CONFLICT (key) DO UPDATE SET at = max(at, excluded.at);

-- name: hold_audit_head
SELECT number, hash, seal FROM audit_head;

-- name: facts_before
SELECT name FROM facts WHERE scope = :scope AND kind = :kind AND at < :before;

-- name: add_words
INSERT INTO words (rowid, said_user, said_agent) VALUES (:number, :user, :agent);

-- name: add_redacted_words
INSERT INTO redacted_words (rowid, said_user, said_agent) VALUES (:number, :user, :agent);

-- name: remove_words
INSERT INTO words (words, rowid, said_user, said_agent) VALUES ('delete', :number, :user, :agent);

-- name: remove_redacted_words
INSERT INTO redacted_words (redacted_words, rowid, said_user, said_agent) VALUES ('delete', :number, :user, :agent);

-- name: get_document
SELECT d.body, s.wrapped FROM documents d JOIN conversations c ON c.number = d.conversation
JOIN seals s ON s.number = c.seal WHERE d.conversation = :number;

-- name: put_document
INSERT INTO documents (conversation, body) VALUES (:number, :body)
ON CONFLICT (conversation) DO UPDATE SET body = excluded.body;

-- name: put_vectors
INSERT INTO vectors (conversation, scope, model, plain, redacted) VALUES (:number, :scope, :model, :plain, :redacted)
ON CONFLICT (conversation) DO UPDATE SET model = excluded.model, plain = excluded.plain, redacted = excluded.redacted;

-- name: plain_vectors
SELECT conversation, plain FROM vectors WHERE scope = :scope AND conversation > :after ORDER BY conversation LIMIT :limit;

-- name: redacted_vectors
SELECT conversation, redacted FROM vectors WHERE scope = :scope AND conversation > :after ORDER BY conversation LIMIT :limit;

-- name: blank_vectors
UPDATE vectors SET plain = zeroblob(length(plain)), redacted = zeroblob(length(redacted)) WHERE conversation = :number;

-- name: hold_fact
SELECT 1 FROM facts WHERE name = :name;

-- name: mark_tallied
UPDATE conversations SET is_tallied = 1 WHERE number = :number AND is_tallied = 0 RETURNING 1;

-- name: hold_scope
SELECT 1;

-- name: untallied
SELECT number, scope FROM conversations WHERE is_ended = 1 AND is_tallied = 0 AND number < :before ORDER BY number DESC LIMIT :limit;

-- name: waiting_work
SELECT kind, count(*), sum(leased_until > :now), max(attempts), min(due_at) FROM work GROUP BY kind ORDER BY kind;

-- name: drop_turns
-- All turns lie in one table here: they go with their conversations.
SELECT '' WHERE :before IS NULL;
