"""What was measured, as Markdown tables: figures with their floors, the pipelines, processor time, memory."""

import math
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from tests.bench.run import CLIENTS, RATE, Results
from tests.bench.stand import Cost, Measured

FLOOR_RUNS: Final = 250.0
FLOOR_P50_MS: Final = 60.0
FLOOR_P99_MS: Final = 250.0
FLOOR_READY_S: Final = 25.0
FLOOR_IDLE_MIB: Final = 1.5e9 / 2**20
FLOOR_LIVE_S: Final = 60.0
FLOOR_CRONS_MIB: Final = 150e6 / 2**20
FLOOR_STAND: Final = 5.0
_full: Final = 0.9
_noisy: Final = 0.05


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: what was measured, its floor, whether it is met, and what keeps it from being better."""

    figure: str
    measured: str
    floor: str
    met: bool
    limit: str


def rows(results: Results) -> list[Row]:
    """The figures that have a floor."""
    assert results.open is not None
    assert results.idle is not None
    assert results.crons is not None
    return [
        *(_throughput(clients, results) for clients in CLIENTS),
        _latency(results.open),
        _exactness(results),
        _stand(results),
        _ready(results),
        _idle(results),
        _crons(results),
    ]


def _throughput(clients: int, results: Results) -> Row:
    measured = results.closed[clients]
    rate, limit = measured.runs_per_second, results.limit[clients].runs_per_second
    return Row(
        f"end to end, {clients} clients, {results.size.seconds:.0f} s",
        f"{rate:.0f} runs/s, 1/{limit / rate:.1f} of a bare program's {limit:.0f}" if rate else "nothing finished",
        f"{FLOOR_RUNS:.0f} runs/s",
        rate >= FLOOR_RUNS,
        f"{bottleneck(measured.cost)}; {_per_run(measured)}",
    )


def _per_run(measured: Measured) -> str:
    processors, each = psutil.cpu_count() or 1, sum(_per_run_ms(measured).values())
    return f"{each:.1f} ms of processor time a run, so at most {processors * 1e3 / each:.0f} runs/s on {processors}"


def _latency(measured: Measured) -> Row:
    p50, p99 = measured.end_to_end_ms(50), measured.end_to_end_ms(99)
    return Row(
        f"end to end at {RATE:.0f} runs/s, p50 / p99",
        f"{p50:.0f} / {p99:.0f} ms",
        f"{FLOOR_P50_MS:.0f} / {FLOOR_P99_MS:.0f} ms",
        p50 <= FLOOR_P50_MS and p99 <= FLOOR_P99_MS,
        f"{measured.answer_ms(50):.0f} ms to the 202, {p50 - measured.answer_ms(50):.0f} ms for two recorded calls;"
        f" p99 waits for a processor ({_others(measured.cost)})",
    )


def _exactness(results: Results) -> Row:
    wrong = Counter[str]()
    for measured in results.pipelines:
        verdict = measured.verdict
        wrong.update(lost=len(verdict.lost), duplicated=len(verdict.duplicated), disordered=len(verdict.disordered))
    accepted = sum(len(measured.sent.accepted) for measured in results.pipelines)
    text = ", ".join(f"{wrong[name]} {name}" for name in ("lost", "duplicated", "disordered"))
    return Row("what the receiver saw", f"{accepted:,} accepted: {text}", "0, 0, 0", not wrong.total(), "")


def _stand(results: Results) -> Row:
    needed = 2 * max(measured.runs_per_second for measured in results.closed.values())
    return Row(
        "load generator and receiver alone",
        f"{results.ceiling:,.0f} requests/s, {results.ceiling / max(1.0, needed):.0f} times the receiver's load",
        f"{FLOOR_STAND:.0f} times",
        results.ceiling >= FLOOR_STAND * needed,
        "",
    )


def _ready(results: Results) -> Row:
    start = results.starts[-1]
    ends = [*(began for _, began in start.steps[1:]), start.seconds]
    steps = [(text, end - began) for (text, began), end in zip(start.steps, ends, strict=True)]
    longest = sorted(steps, key=lambda step: -step[1])[:2]
    return Row(
        "start to ready, " + ("warm" if results.size.warm else "first"),
        f"{start.seconds:.1f} s",
        f"{FLOOR_READY_S:.0f} s",
        start.seconds <= FLOOR_READY_S,
        "; ".join(f"{text}: {seconds:.1f} s" for text, seconds in longest),
    )


def _idle(results: Results) -> Row:
    idle = results.idle
    assert idle is not None
    most = list(idle.memory_mib.items())[:2]
    return Row(
        "idle memory of everything",
        f"{_mb(idle.total_mib):,.0f} MB in {len(idle.cpu_s)} processes",
        f"{_mb(FLOOR_IDLE_MIB):,.0f} MB",
        idle.total_mib <= FLOOR_IDLE_MIB,
        "a Python interpreter with Ray per process; most: "
        + ", ".join(f"{kind} {_mb(mib):.0f} MB" for kind, mib in most),
    )


def _crons(results: Results) -> Row:
    crons = results.crons
    assert crons is not None
    more = {kind: mib - crons.before.memory_mib.get(kind, 0.0) for kind, mib in crons.after.memory_mib.items()}
    grown = max(more, key=lambda kind: more[kind])
    total = crons.after.total_mib - crons.before.total_mib
    process, spent = max(crons.after.cpu_since(crons.before).items(), key=lambda item: item[1])
    return Row(
        f"{crons.count:,} enabled cron tasks",
        f"live {crons.live_after_s:.1f} s after the last was enabled (created in {crons.created_s:.0f} s),"
        f" {_mb(total):+.0f} MB" + (f", {crons.refused} refused" if crons.refused else ""),
        f"{FLOOR_LIVE_S:.0f} s, {_mb(FLOOR_CRONS_MIB):.0f} MB",
        crons.live_after_s <= FLOOR_LIVE_S and total < FLOOR_CRONS_MIB and not crons.refused,
        f"creating takes {process} {spent / crons.count * 1e3:.1f} ms of processor time each;"
        f" memory: {grown} {_mb(more[grown]):+.0f} MB",
    )


def bottleneck(cost: Cost) -> str:
    """What was full: the machine, one process that has a single thread for its Python, or neither."""
    processors = psutil.cpu_count() or 1
    busy = cost.machine / (cost.elapsed_s * processors)
    process, seconds = max(cost.service.items(), key=lambda item: item[1], default=("nothing", 0.0))
    load = seconds / cost.elapsed_s
    if load >= _full:
        return f"{process}: {load:.0%} of one processor"
    if busy >= _full:
        return f"both processors ({busy:.0%} busy, {_others(cost)}); most by {process}"
    return f"waiting: {busy:.0%} of {processors} processors busy, {_others(cost)}"


def _others(cost: Cost) -> str:
    share = _share(cost)
    return f"{share:.0%} by programs beside the measurement" if share >= _noisy else "nothing else ran"


def _share(cost: Cost) -> float:
    """The part of the processors that programs beside the measurement took."""
    return cost.others / (cost.elapsed_s * (psutil.cpu_count() or 1))


def render(results: Results) -> str:
    """Everything, as Markdown."""
    crons, idle = results.crons, results.idle
    assert crons is not None
    assert idle is not None
    return "\n\n".join(
        [
            (
                f"{psutil.cpu_count()} processors, {psutil.virtual_memory().total / 2**30:.0f} GiB, Python"
                f" {platform.python_version()}, {results.began_at:%Y-%m-%d %H:%M} UTC. Stub receiver and load generator"
                " run on the same processors."
            ),
            table(
                ("figure", "measured", "floor", "met", "limited by"),
                [(row.figure, row.measured, row.floor, "yes" if row.met else "NO", row.limit) for row in rows(results)],
            ),
            "Pipelines: webhook → POST → POST that uses the first one's answer.",
            table(
                (
                    "load",
                    "accepted/s",
                    "finished/s",
                    "backlog at the end",
                    "202 p50/p99",
                    "end to end p50/p99",
                    "not accepted",
                    "taken by others",
                ),
                _pipelines(results),
            ),
            "Processor time of one run, in ms, by process:",
            table(("process", *(f"{clients} clients" for clients in CLIENTS), "share"), _costs(results)),
            "Memory in MB by process (PSS, as if the instance were alone on the machine):",
            table(
                ("process", "idle", f"with {crons.count:,} scheduled tasks"),
                _memory(idle.memory_mib, crons.after.memory_mib),
            ),
            (
                f"Starts to ready: {', '.join(f'{start.seconds:.1f} s' for start in results.starts)};"
                f" stop: {results.stop_s:.1f} s."
            ),
        ]
    )


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned for reading as text."""
    cells = [list(head), *(list(line) for line in lines)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def _pipelines(results: Results) -> Iterable[Sequence[str]]:
    assert results.open is not None
    assert results.first is not None
    measured = {
        f"{RATE:.0f}/s, right after the start": results.first,
        f"{RATE:.0f}/s": results.open,
        **{f"{clients} clients": one for clients, one in results.closed.items()},
        **{f"{clients} clients, bare program": one for clients, one in results.limit.items()},
    }
    for load, one in measured.items():
        refused = sum(count for status, count in one.sent.statuses.items() if status >= 300) + one.sent.broken
        yield (
            load,
            f"{one.sent.per_second:.0f}",
            f"{one.runs_per_second:.0f}",
            f"{one.backlog_s:.1f} s",
            f"{one.answer_ms(50):.1f} / {one.answer_ms(99):.0f} ms",
            f"{one.end_to_end_ms(50):.0f} / {one.end_to_end_ms(99):.0f} ms",
            str(refused),
            f"{_share(one.cost):.0%}",
        )


def _costs(results: Results) -> Iterable[Sequence[str]]:
    each = [_per_run_ms(measured) for measured in results.closed.values()]
    totals = [sum(one.values()) for one in each]
    for process in sorted(each[-1], key=lambda name: -each[-1][name]):
        yield (
            process,
            *(f"{one.get(process, 0.0):.2f}" for one in each),
            f"{each[-1][process] / totals[-1]:.0%}" if totals[-1] else "",
        )
    yield ("all", *(f"{total:.2f}" for total in totals), "")


def _per_run_ms(measured: Measured) -> dict[str, float]:
    finished = max(1, len(measured.verdict.finished))
    spent = {**measured.cost.service, "load generator and receiver": measured.cost.stand}
    return {process: seconds * 1e3 / finished for process, seconds in spent.items()}


def _memory(idle: Mapping[str, float], later: Mapping[str, float]) -> Iterable[Sequence[str]]:
    for kind in sorted({**idle, **later}, key=lambda name: -idle.get(name, 0.0)):
        yield (kind, f"{_mb(idle.get(kind, 0.0)):.0f}", f"{_mb(later.get(kind, 0.0)):.0f}")
    yield ("all", f"{_mb(math.fsum(idle.values())):.0f}", f"{_mb(math.fsum(later.values())):.0f}")


def _mb(mib: float) -> float:
    """Megabytes, the unit of the floors."""
    return mib * 2**20 / 1e6
