"""What author code sees: `conv`, `flow`, `_gen`, `plog`. Runs in the worker process only."""
