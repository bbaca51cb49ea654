"""The routes of `/auth`, one file a concept."""
