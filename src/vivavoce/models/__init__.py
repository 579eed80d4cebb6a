"""Language models: one interface, one file per kind, wrappers for retries and fallback."""
