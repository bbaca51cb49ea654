"""Catalog, connections, tasks and runs over HTTP, at `/api/v1`."""
