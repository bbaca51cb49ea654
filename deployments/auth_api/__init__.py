"""Accounts, sessions and API keys over HTTP, at `/auth`."""
