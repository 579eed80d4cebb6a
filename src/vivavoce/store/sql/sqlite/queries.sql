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
ORDER BY created_at DESC, rowid DESC LIMIT 1;

-- name: accounts_of
SELECT DISTINCT account_id FROM deployments WHERE agent_id = :agent_id;

-- name: add_conversation
INSERT INTO conversations (account_id, agent_id, id, started_at, turns, is_ended, head)
VALUES (:account_id, :agent_id, :id, :started_at, :turns, :is_ended, :head) ON CONFLICT DO NOTHING
RETURNING number;

-- name: advance_conversation
-- Only from the expected position, and never after the end.
UPDATE conversations SET turns = :turns, is_ended = :is_ended, head = :head
WHERE account_id = :account_id AND agent_id = :agent_id AND id = :id AND turns = :expected AND is_ended = 0
RETURNING number;

-- name: append_turn
INSERT INTO appended_turns (
    account_id, agent_id, id, expected, turns, is_ended, head, body, state, snapshot_body, snapshot_state, snapshot_view
) VALUES (
    :account_id, :agent_id, :id, :expected, :turns, :is_ended, :head, :body, :state, :snapshot_body, :snapshot_state,
    :snapshot_view
);

-- name: find_conversation
SELECT number, head FROM conversations WHERE agent_id = :agent_id AND id = :id AND account_id = :account_id;

-- name: find_conversation_anywhere
SELECT number, head FROM conversations WHERE agent_id = :agent_id AND id = :id ORDER BY number LIMIT 1;

-- name: list_conversations
SELECT head FROM conversations WHERE agent_id = :agent_id AND (:account_id IS NULL OR account_id = :account_id)
ORDER BY started_at DESC, number DESC LIMIT :limit OFFSET :offset;

-- name: count_conversations
SELECT count(*) FROM conversations WHERE agent_id = :agent_id AND (:account_id IS NULL OR account_id = :account_id);

-- name: put_snapshot
INSERT INTO snapshots (conversation, body, state, view) VALUES (:conversation, :body, :state, :view)
ON CONFLICT (conversation) DO UPDATE SET body = excluded.body, state = excluded.state, view = excluded.view;

-- name: get_snapshot
SELECT body, state, view FROM snapshots WHERE conversation = :conversation;

-- name: add_turn
INSERT INTO turns (conversation, position, body, state) VALUES (:conversation, :position, :body, :state);

-- name: get_turns
SELECT body FROM turns WHERE conversation = :conversation ORDER BY position;

-- name: put_closing
INSERT INTO closings (conversation, body) VALUES (:conversation, :body)
ON CONFLICT (conversation) DO UPDATE SET body = excluded.body;

-- name: get_closing
SELECT body FROM closings WHERE conversation = :conversation;

-- name: put_text
INSERT INTO texts (hash, body) VALUES (:hash, :body) ON CONFLICT DO NOTHING;

-- name: get_text
SELECT body FROM texts WHERE hash = :hash;

-- name: put_reply
INSERT INTO replies (account_id, key, fingerprint, status, body, expires_at)
VALUES (:account_id, :key, :fingerprint, :status, :body, :expires_at)
ON CONFLICT (account_id, key) DO UPDATE SET
    fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body, expires_at = excluded.expires_at;

-- name: get_reply
SELECT fingerprint, status, body, expires_at FROM replies WHERE account_id = :account_id AND key = :key AND expires_at > :now;

-- name: expire_replies
DELETE FROM replies WHERE expires_at <= :now;

-- name: put_key
INSERT INTO keys (id, body) VALUES (:id, :body) ON CONFLICT (id) DO UPDATE SET body = excluded.body;

-- name: get_keys
SELECT body FROM keys ORDER BY id;

-- name: add_work
-- Adding again while somebody holds it takes the lease away: it will be done once more.
INSERT INTO work (kind, key, due_at, attempts, payload) VALUES (:kind, :key, :due_at, :attempts, :payload)
ON CONFLICT (kind, key) DO UPDATE SET
    due_at = excluded.due_at, payload = excluded.payload, attempts = excluded.attempts, lease = NULL, leased_until = NULL;

-- name: remove_work
DELETE FROM work WHERE kind = :kind AND key = :key;

-- name: due_work
SELECT kind, key, due_at, attempts, payload FROM work
WHERE due_at <= :now AND (leased_until IS NULL OR leased_until <= :now) ORDER BY due_at LIMIT :limit;

-- name: lease_work
UPDATE work SET lease = :lease, leased_until = :until, attempts = attempts + 1 WHERE kind = :kind AND key = :key;

-- name: finish_work
DELETE FROM work WHERE kind = :kind AND key = :key AND lease = :lease;

-- name: retry_work
UPDATE work SET due_at = :due_at, lease = NULL, leased_until = NULL WHERE kind = :kind AND key = :key AND lease = :lease;

-- name: next_due
SELECT min(max(due_at, coalesce(leased_until, due_at))) FROM work;

-- name: put_delivery
INSERT INTO deliveries (conversation, message, body) VALUES (:conversation, :message, :body)
ON CONFLICT (conversation, message) DO UPDATE SET body = excluded.body;

-- name: get_deliveries
SELECT body FROM deliveries WHERE conversation = :conversation ORDER BY message;

-- name: put_fact
INSERT INTO facts (account_id, agent_id, kind, key, body, at, expires_at)
VALUES (:account_id, :agent_id, :kind, :key, :body, :at, :expires_at)
ON CONFLICT (account_id, agent_id, kind, key) DO UPDATE SET body = excluded.body, at = excluded.at, expires_at = excluded.expires_at;

-- name: get_fact
SELECT body, at, expires_at FROM facts
WHERE account_id = :account_id AND agent_id = :agent_id AND kind = :kind AND key = :key
AND (expires_at IS NULL OR expires_at > :now);

-- name: remove_fact
DELETE FROM facts WHERE account_id = :account_id AND agent_id = :agent_id AND kind = :kind AND key = :key RETURNING 1;

-- name: expire_facts
DELETE FROM facts WHERE expires_at <= :now;
