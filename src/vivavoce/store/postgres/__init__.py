"""The record on PostgreSQL."""
