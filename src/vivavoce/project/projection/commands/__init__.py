"""Applying what a client pushes to a projection: a module for each family of commands, a function for each kind."""
