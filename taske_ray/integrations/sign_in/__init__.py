"""Providers that people log in with: where they are sent, and who the provider says they are."""
