"""Moving a value from one data key to another without showing it. For rotations alone: a test looks at the imports."""

from taske_ray.security.opening import open_value
from taske_ray.security.sealed import DataKey, Place, VaultError
from taske_ray.security.vault import seal


def reseal(old: DataKey, new: DataKey, place: Place, stored: bytes) -> bytes:
    """The same value at the same place under a newer key of the same owner and purpose. Raises VaultError."""
    if (old.user, old.purpose) != (new.user, new.purpose):
        raise VaultError
    return seal(new, place, open_value(old, place, stored))
