-- name: put_tree
INSERT INTO trees (hash, files, created_at) VALUES (:hash, :files, :created_at) ON CONFLICT DO NOTHING;

-- name: get_tree
SELECT files FROM trees WHERE hash = :hash;

-- name: add_deployment
INSERT INTO deployments (id, account_id, agent_id, environment, tree, created_at)
VALUES (:id, :account_id, :agent_id, :environment, :tree, :created_at);

-- name: active_deployment
SELECT id, account_id, agent_id, environment, tree, created_at FROM deployments
WHERE account_id = :account_id AND agent_id = :agent_id AND environment = :environment
ORDER BY created_at DESC, number DESC LIMIT 1;

-- name: accounts_of
SELECT DISTINCT account_id FROM deployments WHERE agent_id = :agent_id;

-- name: put_text
INSERT INTO texts (hash, body) VALUES (:hash, :body) ON CONFLICT DO NOTHING;

-- name: put_key
INSERT INTO keys (id, body, proof) VALUES (:id, :body, :proof)
ON CONFLICT (id) DO UPDATE SET body = excluded.body, proof = excluded.proof;

-- name: get_keys
SELECT id, body, proof FROM keys ORDER BY id;

-- name: add_seal
INSERT INTO seals (wrapped) VALUES (:wrapped) RETURNING number;

-- name: destroy_seal
-- What the old row held goes with the next VACUUM of this table, which follows an erasure.
UPDATE seals SET wrapped = decode(repeat('00', length(wrapped)), 'hex') WHERE number = :number;

-- name: find_scope
SELECT number FROM scopes WHERE account_id = :account_id AND agent_id = :agent_id;

-- name: add_scope
INSERT INTO scopes (account_id, agent_id) VALUES (:account_id, :agent_id) ON CONFLICT DO NOTHING;

-- name: add_conversation
INSERT INTO conversations (number, scope, name, seal, turns, is_ended, duration, dice, head, facets)
VALUES (:number, :scope, :name, :seal, :turns, :is_ended, :duration, :dice, :head, '\x80');

-- name: is_taken
SELECT 1 FROM conversations WHERE number = :number;

-- name: has_name
SELECT 1 FROM conversations WHERE name = :name;

-- name: last_number
SELECT max(number) FROM conversations WHERE number BETWEEN :first AND :last;

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

-- name: set_duration
UPDATE conversations SET duration = :duration WHERE number = :number;

-- name: find_conversation
SELECT c.number, c.scope, s.wrapped, c.head, c.review FROM conversations c JOIN seals s ON s.number = c.seal
WHERE c.name = :name;

-- name: get_review
SELECT review FROM conversations WHERE number = :number;

-- name: put_review
UPDATE conversations SET review = :review, score = :score WHERE number = :number RETURNING number;

-- name: get_facets
SELECT facets FROM conversations WHERE number = :number;

-- name: facet_count
-- Not beyond where it is many: counting all would take as long as there are.
SELECT count(*) FROM (SELECT 1 FROM facets WHERE facet = :facet LIMIT :most) found;

-- name: put_facets
UPDATE conversations SET facets = :facets WHERE number = :number;

-- name: add_facet
INSERT INTO facets (facet, number) VALUES (:facet, :number);

-- name: remove_facet
DELETE FROM facets WHERE facet = :facet AND number = :number;

-- name: put_snapshot
INSERT INTO snapshots (conversation, body) VALUES (:conversation, :body)
ON CONFLICT (conversation) DO UPDATE SET body = excluded.body;

-- name: get_snapshot
SELECT body FROM snapshots WHERE conversation = :conversation;

-- name: add_turn
INSERT INTO turns (conversation, position, said, body, state) VALUES (:conversation, :position, :said, :body, :state);

-- name: get_turns
SELECT position, said, body FROM turns
WHERE conversation = :conversation AND position BETWEEN CAST(:first AS bigint) AND CAST(:last AS bigint) ORDER BY position;

-- name: get_turn
SELECT said, body FROM turns WHERE conversation = :conversation AND position = :position;

-- name: put_turn
UPDATE turns SET said = :said, body = :body WHERE conversation = :conversation AND position = :position;

-- name: get_transcript
SELECT position, said FROM turns WHERE conversation = :conversation ORDER BY position;

-- name: put_closing
INSERT INTO closings (conversation, body) VALUES (:conversation, :body)
ON CONFLICT (conversation) DO UPDATE SET body = excluded.body;

-- name: get_closing
SELECT body FROM closings WHERE conversation = :conversation;

-- name: put_reply
INSERT INTO replies (name, conversation, fingerprint, status, body, expires_at)
VALUES (:name, :conversation, :fingerprint, :status, :body, :expires_at)
ON CONFLICT (name) DO UPDATE SET conversation = excluded.conversation, fingerprint = excluded.fingerprint,
    status = excluded.status, body = excluded.body, expires_at = excluded.expires_at;

-- name: get_reply
SELECT r.conversation, s.wrapped, r.fingerprint, r.status, r.body, r.expires_at
FROM replies r JOIN conversations c ON c.number = r.conversation JOIN seals s ON s.number = c.seal
WHERE r.name = :name AND r.expires_at > :now;

-- name: expire_replies
DELETE FROM replies WHERE expires_at <= :now;

-- name: add_work
-- Adding again while somebody holds it takes the lease away: it will be done once more.
INSERT INTO work (kind, key, conversation, due_at, attempts, payload)
VALUES (:kind, :key, :conversation, :due_at, :attempts, :payload)
ON CONFLICT (kind, key, conversation) DO UPDATE SET
    due_at = excluded.due_at, payload = excluded.payload, attempts = excluded.attempts, lease = NULL, leased_until = NULL;

-- name: remove_work
DELETE FROM work WHERE kind = :kind AND key = :key AND conversation = :conversation;

-- name: due_work
SELECT w.kind, w.key, w.conversation, w.due_at, w.attempts, w.payload, c.head, s.wrapped
FROM work w LEFT JOIN conversations c ON c.number = w.conversation LEFT JOIN seals s ON s.number = c.seal
WHERE w.due_at <= :now AND (w.leased_until IS NULL OR w.leased_until <= :now) ORDER BY w.due_at LIMIT :limit
FOR UPDATE OF w SKIP LOCKED;

-- name: lease_work
UPDATE work SET lease = :lease, leased_until = :until, attempts = attempts + 1
WHERE kind = :kind AND key = :key AND conversation = :conversation;

-- name: finish_work
DELETE FROM work WHERE kind = :kind AND key = :key AND conversation = :conversation AND lease = :lease;

-- name: retry_work
UPDATE work SET due_at = :due_at, lease = NULL, leased_until = NULL
WHERE kind = :kind AND key = :key AND conversation = :conversation AND lease = :lease;

-- name: next_due
SELECT least(
    (SELECT due_at FROM work WHERE leased_until IS NULL ORDER BY due_at LIMIT 1),
    (SELECT min(leased_until) FROM work WHERE leased_until IS NOT NULL)
);

-- name: put_delivery
INSERT INTO deliveries (conversation, message, body) VALUES (:conversation, :message, :body)
ON CONFLICT (conversation, message) DO UPDATE SET body = excluded.body;

-- name: get_deliveries
SELECT message, body FROM deliveries WHERE conversation = :conversation ORDER BY message;

-- name: put_fact
INSERT INTO facts (name, kind, seal, body, at, expires_at, scope)
VALUES (:name, :kind, :seal, :body, :at, :expires_at, :scope)
ON CONFLICT (name) DO UPDATE SET
    scope = excluded.scope, seal = excluded.seal, body = excluded.body, at = excluded.at, expires_at = excluded.expires_at;

-- name: take_fact
INSERT INTO facts (name, kind, body, at) VALUES (:name, :kind, '', :at) ON CONFLICT (name) DO NOTHING RETURNING 1;

-- name: seal_of_fact
SELECT f.seal, s.wrapped FROM facts f JOIN seals s ON s.number = f.seal WHERE f.name = :name FOR UPDATE OF f;

-- name: add_fact_source
INSERT INTO fact_sources (conversation, fact) VALUES (:conversation, :fact) ON CONFLICT DO NOTHING;

-- name: get_fact
SELECT f.body, f.at, f.expires_at, s.wrapped FROM facts f LEFT JOIN seals s ON s.number = f.seal
WHERE f.name = :name AND (f.expires_at IS NULL OR f.expires_at > :now);

-- name: expired_facts
SELECT name FROM facts WHERE expires_at <= :now ORDER BY name LIMIT 500 FOR UPDATE SKIP LOCKED;

-- name: destroy_seal_of_fact
UPDATE seals SET wrapped = decode(repeat('00', length(wrapped)), 'hex') WHERE number = (SELECT seal FROM facts WHERE name = :name);

-- name: remove_fact_sources
DELETE FROM fact_sources WHERE fact = :name;

-- name: remove_fact
DELETE FROM facts WHERE name = :name RETURNING 1;

-- name: put_key_use
INSERT INTO key_uses (key, at) VALUES (:key, :at) ON CONFLICT (key) DO UPDATE SET at = greatest(key_uses.at, excluded.at);

-- name: get_key_uses
SELECT key, at FROM key_uses;

-- name: put_receipt
INSERT INTO receipts (id, body) VALUES (:id, :body) ON CONFLICT (id) DO UPDATE SET body = excluded.body;

-- name: get_receipt
SELECT body FROM receipts WHERE id = :id;

-- name: audit_head
SELECT number, hash, seal FROM audit_head;

-- name: hold_audit_head
-- One appends after another.
SELECT number, hash, seal FROM audit_head FOR UPDATE;

-- name: add_audit
INSERT INTO audit (number, body, hash) VALUES (:number, :body, :hash);

-- name: put_audit_head
INSERT INTO audit_head (id, number, hash, seal) VALUES (1, :number, :hash, :seal)
ON CONFLICT (id) DO UPDATE SET number = excluded.number, hash = excluded.hash, seal = excluded.seal;

-- name: get_audit
SELECT number, body, hash FROM audit WHERE number > :after ORDER BY number LIMIT :limit;

-- name: facts_of
SELECT fact FROM fact_sources WHERE conversation = :name;

-- name: facts_of_kind
SELECT f.body, s.wrapped FROM facts f LEFT JOIN seals s ON s.number = f.seal
WHERE f.scope = :scope AND f.kind = :kind AND (f.expires_at IS NULL OR f.expires_at > :now);

-- name: facts_before
SELECT name FROM facts WHERE scope = :scope AND kind = :kind AND at < :before ORDER BY name FOR UPDATE;

-- name: seal_of
SELECT seal FROM conversations WHERE number = :number;

-- name: erase_deliveries
DELETE FROM deliveries WHERE conversation = :number;

-- name: erase_replies
DELETE FROM replies WHERE conversation = :number;

-- name: erase_closings
DELETE FROM closings WHERE conversation = :number;

-- name: erase_snapshots
DELETE FROM snapshots WHERE conversation = :number;

-- name: erase_turns
DELETE FROM turns WHERE conversation = :number;

-- name: erase_work
DELETE FROM work WHERE conversation = :number;

-- name: erase_conversations
DELETE FROM conversations WHERE number = :number;

-- name: get_bodies
SELECT position, said, body FROM turns WHERE conversation = :conversation ORDER BY position;

-- name: strip_turn
UPDATE turns SET body = :body, state = NULL WHERE conversation = :conversation AND position = :position;

-- name: put_document
INSERT INTO documents (conversation, words, redacted_words)
VALUES (:number, CAST(CAST(:words AS text) AS tsvector), CAST(CAST(:redacted_words AS text) AS tsvector))
ON CONFLICT (conversation) DO UPDATE SET words = excluded.words, redacted_words = excluded.redacted_words;

-- name: erase_documents
DELETE FROM documents WHERE conversation = :number;

-- name: put_vectors
INSERT INTO vectors (conversation, scope, model, plain, redacted, plain_signs, redacted_signs)
VALUES (:number, :scope, :model, :plain, :redacted, :plain_signs, :redacted_signs)
ON CONFLICT (conversation) DO UPDATE SET model = excluded.model, plain = excluded.plain, redacted = excluded.redacted,
    plain_signs = excluded.plain_signs, redacted_signs = excluded.redacted_signs;

-- name: blank_vectors
-- A row is not overwritten in place here: what it held goes with the next VACUUM, which follows an erasure.
SELECT 1 WHERE CAST(:number AS bigint) IS NULL;

-- name: erase_vectors
DELETE FROM vectors WHERE conversation = :number;

-- name: hold_fact
SELECT 1 FROM facts WHERE name = :name FOR UPDATE;

-- name: fact_kind
SELECT kind FROM facts WHERE name = :name;

-- name: remove_fact_source
DELETE FROM fact_sources WHERE conversation = :conversation AND fact = :fact;

-- name: put_said
UPDATE turns SET said = :said WHERE conversation = :conversation AND position = :position;

-- name: agents
SELECT DISTINCT account_id, agent_id FROM deployments ORDER BY agent_id, account_id;

-- name: mark_tallied
UPDATE conversations SET is_tallied = true WHERE number = :number AND NOT is_tallied RETURNING 1;

-- name: hold_scope
SELECT 1 FROM scopes WHERE number = :scope FOR NO KEY UPDATE;

-- name: get_tally
SELECT body FROM tallies WHERE scope = :scope AND part = :part AND day = :day AND environment = :environment;

-- name: put_tally
INSERT INTO tallies (scope, part, day, environment, body) VALUES (:scope, :part, :day, :environment, :body)
ON CONFLICT (scope, part, day, environment) DO UPDATE SET body = excluded.body;

-- name: get_tallies
SELECT day, environment, body FROM tallies
WHERE scope = :scope AND part = :part AND day BETWEEN :first AND :last ORDER BY day, environment;

-- name: untallied
SELECT number, scope FROM conversations WHERE is_ended AND NOT is_tallied AND number < :before ORDER BY number DESC LIMIT :limit;

-- name: waiting_work
SELECT kind, count(*), count(*) FILTER (WHERE leased_until > :now), max(attempts), min(due_at) FROM work GROUP BY kind ORDER BY kind;

-- name: newest_audit
SELECT number, body, hash FROM audit WHERE number < :before ORDER BY number DESC LIMIT :limit;

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
