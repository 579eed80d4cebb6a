"""The record in tables, whichever engine keeps them: what is written and read, apart from how an engine is asked."""
