"""How long runs stood still because of a fault: read from the receiver's clock, not from our rows (D5)."""

import bisect
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.faults.oracle import STEPS, Acknowledged, Receipt
from tests.faults.saboteur import Fault


@dataclass(frozen=True, slots=True)
class Recovery:
    """`resumed_s` by fault: each value is one run's time from the last fault before its next sign of life to that sign.

    `silences_s`: the same from the first fault of the silence: faults that follow each other add up there.
    """

    resumed_s: Mapping[str, Sequence[float]]
    silences_s: Sequence[float]

    @property
    def slowest_s(self) -> float:
        """The slowest single recovery."""
        return max((max(values) for values in self.resumed_s.values()), default=0.0)

    @property
    def longest_silence_s(self) -> float:
        """The longest time that a run stood still, whatever came together."""
        return max(self.silences_s, default=0.0)


def recoveries(acknowledged: Sequence[Acknowledged], receipts: Sequence[Receipt], faults: Sequence[Fault]) -> Recovery:
    """What runs that were under way at a fault did next. A run's signs of life: its acknowledgement, its arrivals."""
    signs: defaultdict[str, list[float]] = defaultdict(list)
    steps: defaultdict[str, set[int]] = defaultdict(set)
    for one in acknowledged:
        if one.event not in signs:  # acknowledging it again is no sign of the run
            signs[one.event].append(one.at)
    for receipt in receipts:
        if receipt.step not in steps[receipt.event]:
            steps[receipt.event].add(receipt.step)
            signs[receipt.event].append(receipt.at)
    ordered = sorted(faults, key=lambda fault: fault.at)
    ats = [fault.at for fault in ordered]
    resumed: defaultdict[str, list[float]] = defaultdict(list)
    silences: list[float] = []
    for event, moments in signs.items():
        if len(steps[event]) < len(STEPS):
            continue  # parked or failed: the oracle judges those
        moments.sort()
        for earlier, later in itertools.pairwise(moments):
            begin, end = bisect.bisect_left(ats, earlier), bisect.bisect_left(ats, later)
            if begin < end:
                resumed[ordered[end - 1].name].append(later - ats[end - 1])
                silences.append(later - ats[begin])
    return Recovery(resumed, silences)
