"""One turn of one conversation: it decides, over interfaces, and never stores."""
