"""What a running server tells those who watch it: numbers and traces, and nothing of what was said."""
