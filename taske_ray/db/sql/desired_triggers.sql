-- Which triggers should be watched, and in which version.
SELECT id, version FROM triggers WHERE enabled AND paused_reason IS NULL
