"""Intervals: instants at a fixed distance in elapsed time, counted from the moment of enabling, without drift."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from taske_ray.core.times import parse_duration
from taske_ray.errors import Invalid

shortest_interval = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Interval:
    """Every `every` after `anchor`; the first instant is `anchor + every`."""

    every: timedelta
    anchor: datetime

    def next_after(self, after: datetime) -> datetime | None:
        """The first instant later than `after`, in UTC; None past the end of the calendar."""
        return self._at(self._number(after) + 1)

    def instants(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """The first `limit` instants in (after, until]."""
        first = self._number(after) + 1
        return self._range(first, min(self._number(until), first + limit - 1))

    def latest(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """The last `limit` instants in (after, until], oldest first."""
        last = self._number(until)
        return self._range(max(self._number(after), last - limit) + 1, last)

    def count(self, after: datetime, until: datetime) -> int:
        """How many instants lie in (after, until]."""
        return max(0, self._number(until) - self._number(after))

    def _number(self, instant: datetime) -> int:
        """How many instants have passed at `instant`."""
        return max(0, (instant - self.anchor) // self.every)

    def _at(self, number: int) -> datetime | None:
        try:
            return (self.anchor + number * self.every).astimezone(UTC)
        except OverflowError:
            return None

    def _range(self, first: int, last: int) -> list[datetime]:
        found = (self._at(number) for number in range(first, last + 1))
        return [instant for instant in found if instant is not None]


def parse_interval(text: str, anchor: datetime) -> Interval:
    """The interval that a user wrote as an ISO 8601 duration; Invalid at `/every` if unreadable or below PT1S."""
    try:
        every = parse_duration(text)
    except ValueError:
        message = "Write an ISO 8601 duration without years and months, like 'PT15M'."
        raise Invalid.at("/every", "bad_duration", message) from None
    if every < shortest_interval:
        raise Invalid.at("/every", "below_minimum", "The shortest interval is PT1S.")
    return Interval(every, anchor)
