"""`make bench`: measure, print the tables, and fail when a floor is missed.

`--short` takes seconds instead of minutes; its figures say nothing, so only lost, duplicated and disordered runs count.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from tests.bench.report import render, rows
from tests.bench.run import SHORT, Size, bench

_mark = "<!-- measured -->"


def _say(step: str) -> None:
    sys.stderr.write(f"… {step}\n")
    sys.stderr.flush()


def main() -> int:
    """Measure; the exit code: 0 when everything that counts is met."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=", description=__doc__)
    parser.add_argument("--short", action="store_true", help="three seconds and 200 schedules instead of 20 and 10,000")
    parser.add_argument("--docs", type=Path, help="also put the tables into this page, between its two marks")
    chosen = parser.parse_args()
    results = asyncio.run(bench(SHORT if chosen.short else Size(), _say))
    text = render(results)
    sys.stdout.write(text + "\n")
    if chosen.docs:
        before, _, rest = chosen.docs.read_text().partition(_mark)
        chosen.docs.write_text(f"{before}{_mark}\n\n{text}\n\n{_mark}{rest.rpartition(_mark)[2]}")
    if chosen.short:
        return any(one.verdict.lost or one.verdict.duplicated or one.verdict.disordered for one in results.pipelines)
    return not all(row.met for row in rows(results))


if __name__ == "__main__":
    sys.exit(main())
