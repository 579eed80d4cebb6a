"""JSON shapes of the public APIs, one file per resource: camelCase, snake_case and the error envelope live here only."""
