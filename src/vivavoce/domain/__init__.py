"""Values and small protocols: no I/O, no async, no clock."""
