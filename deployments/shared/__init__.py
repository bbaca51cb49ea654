"""What every app does alike: problems, bodies, permissions, pages, idempotency."""
