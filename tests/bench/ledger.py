"""Judging a measurement by what the receiver saw: what was lost, sent twice, or sent too early."""

import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tests.bench.receiver import Received


@dataclass(frozen=True, slots=True)
class Verdict:
    """`finished` maps each accepted run whose two requests arrived to when the second did (monotonic nanoseconds).

    `lost`: accepted, but a request is missing. `duplicated`: requests beyond the first with the same key. `disordered`:
    the second request came first, or did not carry the receipt of the first. `unacknowledged`: runs that the receiver
    saw but whose sender was never answered: allowed, as an answer can be lost.
    """

    finished: dict[str, int]
    lost: list[str]
    duplicated: list[str]
    disordered: list[str]
    unacknowledged: int

    @property
    def last(self) -> int:
        """When the last run was finished."""
        return max(self.finished.values(), default=0)


def judge(accepted: Iterable[str], received: Iterable[Received], *, first_receipt: int = 0) -> Verdict:
    """Compare the runs that were accepted with what the receiver got; `first_receipt` is that of the first one."""
    accepted = set(accepted)
    seen: dict[str, tuple[int, Received]] = {}
    duplicated = []
    for receipt, one in enumerate(received, first_receipt):
        if one.key in seen:
            duplicated.append(one.key)
        else:
            seen[one.key] = (receipt, one)
    finished = {run: seen[f"{run}:action2"][1].at for run in accepted if _arrived(seen, run)}
    return Verdict(
        finished=finished,
        lost=sorted(accepted - finished.keys()),
        duplicated=duplicated,
        disordered=[run for run in finished if not _in_order(seen, run)],
        unacknowledged=len({key.partition(":")[0] for key in seen} - accepted),
    )


def _arrived(seen: Mapping[str, object], run: str) -> bool:
    return f"{run}:action1" in seen and f"{run}:action2" in seen


def _in_order(seen: Mapping[str, tuple[int, Received]], run: str) -> bool:
    (receipt, _), (later, second) = seen[f"{run}:action1"], seen[f"{run}:action2"]
    return receipt < later and json.loads(second.body) == {"receipt": receipt}


class Ledger:
    """The receiver's ledger, read from outside."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def count(self) -> int:
        """How many requests the receiver has seen."""
        return int(self._get("/count")["count"])

    def keys(self) -> int:
        """How many different keys they had."""
        return int(self._get("/count")["keys"])

    def since(self, receipt: int) -> list[Received]:
        """What it saw from that receipt on."""
        return [Received(*one) for one in self._get(f"/ledger?from={receipt}")]

    def _get(self, path: str) -> Any:
        self._connection.request("GET", path)
        return orjson.loads(self._connection.getresponse().read())
