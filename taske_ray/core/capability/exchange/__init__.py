"""Turns a capability and its parameters into requests, and responses into an outcome. No I/O: see `conversation`."""
