"""Reads a module document: every rule of the format's tables, every error at once, every template compiled once."""
