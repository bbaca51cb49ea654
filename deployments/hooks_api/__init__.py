"""Incoming webhooks, at `/hooks`: the hot path."""
