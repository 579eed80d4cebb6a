"""Where the sound of calls is kept: a file that grows during the call, and an object store after it."""
