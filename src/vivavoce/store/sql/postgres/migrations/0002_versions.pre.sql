-- What a deployment is: how it came about, by whom, of which other one, and the commit that its author's repository stood at.
ALTER TABLE deployments
    ADD COLUMN kind text NOT NULL DEFAULT 'draft',
    ADD COLUMN created_by text NOT NULL DEFAULT '',
    ADD COLUMN message text NOT NULL DEFAULT '',
    ADD COLUMN source text,
    ADD COLUMN git_commit text;
