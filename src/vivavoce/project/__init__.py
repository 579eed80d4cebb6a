"""The agent folder: read, typed and checked, with every fault named at once. Author code is parsed, never run."""
