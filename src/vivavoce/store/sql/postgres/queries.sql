-- name: list_deployments
SELECT id, account_id, agent_id, environment, tree, created_at, kind, created_by, message, source, git_commit
FROM deployments WHERE account_id = :account_id AND agent_id = :agent_id AND environment = :environment
ORDER BY created_at DESC, number DESC LIMIT :limit;

-- name: destroy_seal
-- What the old row held goes with the next VACUUM of this table, which follows an erasure.
UPDATE seals SET wrapped = decode(repeat('00', length(wrapped)), 'hex') WHERE number = :number;

-- name: add_conversation
INSERT INTO conversations (number, scope, name, seal, turns, is_ended, duration, dice, head, facets)
VALUES (:number, :scope, :name, :seal, :turns, :is_ended, :duration, :dice, :head, '\x80');

-- name: hold_conversation
-- No other writer comes between from now on.
SELECT 1 FROM conversations WHERE number = :number FOR UPDATE;

-- name: append_turn
SELECT append_turn(
    :number, :expected, :turns, :is_ended, :head, :said, :body, :state, :snapshot, :claim, :token
);

-- name: advance_conversation
-- Only from the expected position, and never after the end.
UPDATE conversations SET turns = :turns, is_ended = :is_ended, head = :head
WHERE number = :number AND turns = :expected AND NOT is_ended RETURNING number;

-- name: facet_count
-- Not beyond where it is many: counting all would take as long as there are.
SELECT count(*) FROM (SELECT 1 FROM facets WHERE facet = :facet LIMIT :most) found;

-- name: get_turns
SELECT position, said, body FROM turns
WHERE conversation = :conversation AND position BETWEEN CAST(:first AS bigint) AND CAST(:last AS bigint) ORDER BY position;

-- name: due_work
SELECT w.kind, w.key, w.conversation, w.due_at, w.attempts, w.payload, c.head, s.wrapped
FROM work w LEFT JOIN conversations c ON c.number = w.conversation LEFT JOIN seals s ON s.number = c.seal
WHERE w.due_at <= :now AND (w.leased_until IS NULL OR w.leased_until <= :now) ORDER BY w.due_at LIMIT :limit
FOR UPDATE OF w SKIP LOCKED;

-- name: next_due
SELECT least(
    (SELECT due_at FROM work WHERE leased_until IS NULL ORDER BY due_at LIMIT 1),
    (SELECT min(leased_until) FROM work WHERE leased_until IS NOT NULL)
);

-- name: take_fact
INSERT INTO facts (name, kind, body, at) VALUES (:name, :kind, '', :at) ON CONFLICT (name) DO NOTHING RETURNING 1;

-- name: seal_of_fact
SELECT f.seal, s.wrapped FROM facts f JOIN seals s ON s.number = f.seal WHERE f.name = :name FOR UPDATE OF f;

-- name: expired_facts
SELECT name FROM facts WHERE expires_at <= :now ORDER BY name LIMIT 500 FOR UPDATE SKIP LOCKED;

-- name: destroy_seal_of_fact
UPDATE seals SET wrapped = decode(repeat('00', length(wrapped)), 'hex') WHERE number = (SELECT seal FROM facts WHERE name = :name);

-- name: put_key_use
INSERT INTO key_uses (key, at) VALUES (:key, :at) ON CONFLICT (key) DO UPDATE SET at = greatest(key_uses.at, excluded.at);

-- name: hold_audit_head
-- One appends after another.
SELECT number, hash, seal FROM audit_head FOR UPDATE;

-- name: facts_before
SELECT name FROM facts WHERE scope = :scope AND kind = :kind AND at < :before ORDER BY name FOR UPDATE;

-- name: put_document
INSERT INTO documents (conversation, words, redacted_words)
VALUES (:number, CAST(CAST(:words AS text) AS tsvector), CAST(CAST(:redacted_words AS text) AS tsvector))
ON CONFLICT (conversation) DO UPDATE SET words = excluded.words, redacted_words = excluded.redacted_words;

-- name: put_vectors
INSERT INTO vectors (conversation, scope, model, plain, redacted, plain_signs, redacted_signs)
VALUES (:number, :scope, :model, :plain, :redacted, :plain_signs, :redacted_signs)
ON CONFLICT (conversation) DO UPDATE SET model = excluded.model, plain = excluded.plain, redacted = excluded.redacted,
    plain_signs = excluded.plain_signs, redacted_signs = excluded.redacted_signs;

-- name: blank_vectors
-- A row is not overwritten in place here: what it held goes with the next VACUUM, which follows an erasure.
SELECT 1 WHERE CAST(:number AS bigint) IS NULL;

-- name: hold_fact
SELECT 1 FROM facts WHERE name = :name FOR UPDATE;

-- name: mark_tallied
UPDATE conversations SET is_tallied = true WHERE number = :number AND NOT is_tallied RETURNING 1;

-- name: hold_scope
SELECT 1 FROM scopes WHERE number = :scope FOR NO KEY UPDATE;

-- name: untallied
SELECT number, scope FROM conversations WHERE is_ended AND NOT is_tallied AND number < :before ORDER BY number DESC LIMIT :limit;

-- name: waiting_work
SELECT kind, count(*), count(*) FILTER (WHERE leased_until > :now), max(attempts), min(due_at) FROM work GROUP BY kind ORDER BY kind;

-- name: drop_turns
SELECT drop_turns_before(:before)
WHERE (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'turns'::regclass);

-- name: add_months
-- This month's and the next ones', by whoever may make tables.
SELECT add_turns_partition(now() + n * interval '1 month') FROM generate_series(0, 2) n
WHERE (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'turns'::regclass);

-- name: live
INSERT INTO processes (id, until) VALUES (:id, clock_timestamp() + CAST(:seconds AS float) * interval '1 second')
ON CONFLICT (id) DO UPDATE SET until = excluded.until;

-- name: leave
DELETE FROM processes WHERE id = :id;

-- name: forget_processes
DELETE FROM processes WHERE until < clock_timestamp() - interval '1 day';

-- name: forget_claims
DELETE FROM claims WHERE token = 0 AND at < clock_timestamp() - interval '1 hour';

-- name: take_claim
-- From one that lives no longer, or that gave it back, or from oneself.
INSERT INTO claims AS known (name, holder, token, before, at) VALUES (:name, :holder, :token, '', clock_timestamp())
ON CONFLICT (name) DO UPDATE
    SET before = known.holder, holder = excluded.holder, token = excluded.token, at = excluded.at
WHERE known.token = 0 OR known.holder = excluded.holder OR NOT EXISTS (
    SELECT 1 FROM processes p WHERE p.id = known.holder AND p.until > clock_timestamp()
)
RETURNING before;

-- name: keep_claim
-- The rows do not outlive a crash of the server; who still holds a claim puts it back.
INSERT INTO claims (name, holder, token, before, at) VALUES (:name, :holder, :token, :holder, clock_timestamp())
ON CONFLICT (name) DO NOTHING;

-- name: release_claim
UPDATE claims SET token = 0 WHERE name = :name AND token = :token;

-- name: check_claim
SELECT 1 FROM claims WHERE name = :name AND token = :token FOR SHARE;

-- name: tell
SELECT pg_notify(:channel, :news);
