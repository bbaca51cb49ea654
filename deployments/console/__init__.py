"""What stands at `/`: health, metrics, the one OpenAPI document of all apps, its page, and 404s."""
