-- Statements that every engine understands alike; those that an engine has its own words for stand in its own folder.

-- name: put_tree
INSERT INTO trees (hash, files, created_at) VALUES (:hash, :files, :created_at) ON CONFLICT DO NOTHING;

-- name: get_tree
SELECT files FROM trees WHERE hash = :hash;

-- name: add_deployment
INSERT INTO deployments (
    id, account_id, agent_id, environment, tree, created_at, kind, created_by, message, source, git_commit
) VALUES (
    :id, :account_id, :agent_id, :environment, :tree, :created_at, :kind, :created_by, :message, :source, :git_commit
);

-- name: get_deployment
SELECT id, account_id, agent_id, environment, tree, created_at, kind, created_by, message, source, git_commit
FROM deployments WHERE account_id = :account_id AND agent_id = :agent_id AND id = :id;

-- name: remove_deployments
DELETE FROM deployments WHERE account_id = :account_id AND agent_id = :agent_id;

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

-- name: find_scope
SELECT number FROM scopes WHERE account_id = :account_id AND agent_id = :agent_id;

-- name: add_scope
INSERT INTO scopes (account_id, agent_id) VALUES (:account_id, :agent_id) ON CONFLICT DO NOTHING;

-- name: is_taken
SELECT 1 FROM conversations WHERE number = :number;

-- name: has_name
SELECT 1 FROM conversations WHERE name = :name;

-- name: last_number
SELECT max(number) FROM conversations WHERE number BETWEEN :first AND :last;

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

-- name: lease_work
UPDATE work SET lease = :lease, leased_until = :until, attempts = attempts + 1
WHERE kind = :kind AND key = :key AND conversation = :conversation;

-- name: finish_work
DELETE FROM work WHERE kind = :kind AND key = :key AND conversation = :conversation AND lease = :lease;

-- name: retry_work
UPDATE work SET due_at = :due_at, lease = NULL, leased_until = NULL
WHERE kind = :kind AND key = :key AND conversation = :conversation AND lease = :lease;

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

-- name: add_fact_source
INSERT INTO fact_sources (conversation, fact) VALUES (:conversation, :fact) ON CONFLICT DO NOTHING;

-- name: get_fact
SELECT f.body, f.at, f.expires_at, s.wrapped FROM facts f LEFT JOIN seals s ON s.number = f.seal
WHERE f.name = :name AND (f.expires_at IS NULL OR f.expires_at > :now);

-- name: remove_fact_sources
DELETE FROM fact_sources WHERE fact = :name;

-- name: remove_fact
DELETE FROM facts WHERE name = :name RETURNING 1;

-- name: get_key_uses
SELECT key, at FROM key_uses;

-- name: put_receipt
INSERT INTO receipts (id, body) VALUES (:id, :body) ON CONFLICT (id) DO UPDATE SET body = excluded.body;

-- name: get_receipt
SELECT body FROM receipts WHERE id = :id;

-- name: audit_head
SELECT number, hash, seal FROM audit_head;

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

-- name: erase_documents
DELETE FROM documents WHERE conversation = :number;

-- name: erase_vectors
DELETE FROM vectors WHERE conversation = :number;

-- name: fact_kind
SELECT kind FROM facts WHERE name = :name;

-- name: remove_fact_source
DELETE FROM fact_sources WHERE conversation = :conversation AND fact = :fact;

-- name: put_said
UPDATE turns SET said = :said WHERE conversation = :conversation AND position = :position;

-- name: agents
SELECT DISTINCT account_id, agent_id FROM deployments ORDER BY agent_id, account_id;

-- name: get_tally
SELECT body FROM tallies WHERE scope = :scope AND part = :part AND day = :day AND environment = :environment;

-- name: put_tally
INSERT INTO tallies (scope, part, day, environment, body) VALUES (:scope, :part, :day, :environment, :body)
ON CONFLICT (scope, part, day, environment) DO UPDATE SET body = excluded.body;

-- name: get_tallies
SELECT day, environment, body FROM tallies
WHERE scope = :scope AND part = :part AND day BETWEEN :first AND :last ORDER BY day, environment;

-- name: newest_audit
SELECT number, body, hash FROM audit WHERE number < :before ORDER BY number DESC LIMIT :limit;
