-- What a deployment is: how it came about, by whom, of which other one, and the commit that its author's repository stood at.
ALTER TABLE deployments ADD COLUMN kind TEXT NOT NULL DEFAULT 'draft';
ALTER TABLE deployments ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE deployments ADD COLUMN message TEXT NOT NULL DEFAULT '';
ALTER TABLE deployments ADD COLUMN source TEXT;
ALTER TABLE deployments ADD COLUMN git_commit TEXT;
