"""A person at a terminal; one file per command, loaded only when it is called."""
