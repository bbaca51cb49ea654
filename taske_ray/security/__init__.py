"""Passwords, tokens and the vault. Pure: no network, no files, no database; whoever calls brings the time."""
