"""A run: its parts, made of a config; its step; where it starts, and what it writes and saves."""
