"""Where the apps of an instance stand, from its settings."""

from deployments.shared.application import Appearance
from taske_ray.settings import Settings


def appearance_of(settings: Settings, cursor_key: bytes) -> Appearance:
    """Public address, the key of page cursors, who may call from a browser, how often and with how much."""
    return Appearance(settings.url, cursor_key, settings.cors_origins, settings.limits)
