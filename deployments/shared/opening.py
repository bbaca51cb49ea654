"""Where the apps of an instance stand, from its settings."""

from deployments.shared.application import Appearance
from taske_ray.services.master_key import derived_key
from taske_ray.settings import Settings


def appearance_of(settings: Settings) -> Appearance:
    """Public address, the key of page cursors, who may call from a browser, how often and with how much."""
    key = derived_key(settings, "page cursors")
    return Appearance(settings.url, key, settings.cors_origins, settings.limits)
