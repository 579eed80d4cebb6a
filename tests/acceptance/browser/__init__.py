"""What needs a browser: make browser."""
