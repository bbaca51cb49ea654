"""Who hosts what: rendezvous hashing with a bound, and the difference between desired and live watchers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Generic, TypeVar

TriggerId = TypeVar("TriggerId")


@dataclass(frozen=True, slots=True)
class Plan(Generic[TriggerId]):
    """What to change. A trigger whose version changed is in `stop` and in `start`; stops come first.

    `hosts_needed`: how many hosts all desired triggers need; more than there are means that some wait for a new one.
    """

    start: dict[str, list[TriggerId]] = field(default_factory=dict)
    stop: dict[str, list[TriggerId]] = field(default_factory=dict)
    hosts_needed: int = 0


def rendezvous(key: str | bytes, names: Sequence[str]) -> str:
    """The one of `names` that `key` belongs to: highest random weight (Thaler and Ravishankar, 1998).

    Each name more or less moves only the keys that must move. ValueError without names.
    """
    if not names:
        raise ValueError("there is nobody to choose from")
    digest = _key_hash(key)
    return max(names, key=lambda name: (_weight(digest, name), name))


def plan(
    desired: Mapping[TriggerId, int],
    live: Mapping[str, Mapping[TriggerId, int]],
    capacity: int,
) -> Plan[TriggerId]:
    """What turns `live` (host -> trigger -> version) into `desired` (trigger -> version), at most `capacity` a host.

    Stable: a watcher that is where it can be stays, even if another host would now be its first choice. Planning again
    after carrying it out changes nothing. Triggers that no host has room for wait until `hosts_needed` are there.
    """
    stop: dict[str, list[TriggerId]] = {}
    start: dict[str, list[TriggerId]] = {}
    kept: dict[TriggerId, str] = {}
    load = dict.fromkeys(live, 0)
    for host, watched in sorted(live.items()):
        for trigger, version in watched.items():
            belongs = trigger in desired and trigger not in kept and load[host] < capacity
            if belongs:
                kept[trigger] = host
                load[host] += 1
            if not belongs or desired[trigger] != version:
                stop.setdefault(host, []).append(trigger)
            if belongs and desired[trigger] != version:
                start.setdefault(host, []).append(trigger)
    for trigger in desired:
        if trigger not in kept:
            host_with_room = _first_with_room(str(trigger), load, capacity)
            if host_with_room is None:
                break
            load[host_with_room] += 1
            start.setdefault(host_with_room, []).append(trigger)
    return Plan(start, stop, -(-len(desired) // capacity))


def _first_with_room(key: str, load: Mapping[str, int], capacity: int) -> str | None:
    """The best host by weight among those with room: the bound sends a key to its next choice, not to any host."""
    digest = _key_hash(key)
    open_hosts = (host for host, count in load.items() if count < capacity)
    return max(open_hosts, key=lambda host: (_weight(digest, host), host), default=None)


def _key_hash(key: str | bytes) -> bytes:
    return blake2b(key.encode() if isinstance(key, str) else key, digest_size=16).digest()


def _weight(digest: bytes, name: str) -> bytes:
    return blake2b(name.encode(), digest_size=8, key=digest).digest()
