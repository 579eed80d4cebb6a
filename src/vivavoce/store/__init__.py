"""Where the record lives: one interface, one conformance suite, one file per engine."""
