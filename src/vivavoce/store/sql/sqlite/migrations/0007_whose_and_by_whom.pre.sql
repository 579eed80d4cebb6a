-- Whose a fact is, so that one agent's retention leaves those of others; and proof that a key was made by this program.
-- Old facts have no scope: they are erased when they are asked to be, or expire.
ALTER TABLE facts ADD COLUMN scope INTEGER;
ALTER TABLE keys ADD COLUMN proof BLOB;
