"""The HTTP door: a table of routes over `service`, and nothing that decides."""
