"""vivavoce: a self-hosted runtime and record for conversational agents that are plain folders."""

__version__ = "0.1.0"
