"""The embedded model that needs no key: retrieval and rules, and no language model."""
