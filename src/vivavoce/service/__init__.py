"""Use cases: the order of a transaction and of a permission check live here, once."""
