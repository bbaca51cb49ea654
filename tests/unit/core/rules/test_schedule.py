"""The Debian rule: a table of clock changes, and two independent oracles."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from croniter import croniter
from cronsim import CronSim
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from taske_ray.core.schedule import Cron, fire_key, parse_cron
from taske_ray.errors import Invalid

zones = st.sampled_from(sorted(name for name in available_timezones() if "/" in name or name == "UTC"))
debian_table = [
    ("America/New_York", "30 2 * * *", "2027-03-14", ["03-14 03:00-04:00", "03-15 02:30-04:00"]),
    (
        "America/New_York",
        "0,30 2,3 * * *",
        "2027-03-14",
        ["03-14 03:00-04:00", "03-14 03:30-04:00", "03-15 02:00-04:00"],
    ),
    (
        "America/New_York",
        "*/30 1-3 * * *",
        "2027-03-14",
        ["03-14 01:00-05:00", "03-14 01:30-05:00", "03-14 03:00-04:00", "03-14 03:30-04:00"],
    ),
    ("America/New_York", "30 1 * * *", "2027-11-07", ["11-07 01:30-04:00", "11-08 01:30-05:00"]),
    ("America/New_York", "30 1-2 * * *", "2027-11-07", ["11-07 01:30-04:00", "11-07 02:30-05:00"]),
    (
        "America/New_York",
        "30 * * * *",
        "2027-11-07",
        ["11-07 00:30-04:00", "11-07 01:30-04:00", "11-07 01:30-05:00", "11-07 02:30-05:00"],
    ),
    ("Africa/Cairo", "30 23 * * *", "2027-10-28", ["10-28 23:30+03:00", "10-29 23:30+02:00"]),
    ("Australia/Lord_Howe", "15 2 * * *", "2027-10-03", ["10-03 02:30+11:00", "10-04 02:15+11:00"]),
    ("Australia/Lord_Howe", "45 1 * * *", "2027-04-04", ["04-04 01:45+11:00", "04-05 01:45+10:30"]),
    (
        "Australia/Lord_Howe",
        "51 * * * *",
        "2027-04-04",
        ["04-04 00:51+11:00", "04-04 01:51+11:00", "04-04 01:51+10:30", "04-04 02:51+10:30"],
    ),
    (
        "UTC",
        "0 0 */2 * 1",
        "2027-08-01",
        ["08-09 00:00+00:00", "08-23 00:00+00:00", "09-13 00:00+00:00", "09-27 00:00+00:00"],
    ),
    ("UTC", "0 0 29 2 *", "2027-01-01", ["02-29 00:00+00:00", "02-29 00:00+00:00"]),
    ("Asia/Seoul", "0 9 * * MON", "2027-11-07", ["11-08 09:00+09:00", "11-15 09:00+09:00"]),
]


def instants_from(cron: Cron, day: str, count: int) -> list[datetime]:
    start = datetime.fromisoformat(day).replace(tzinfo=cron.zone) - timedelta(microseconds=1)
    return cron.instants(start, start + timedelta(days=4000), count)


@pytest.mark.parametrize(("zone", "expression", "day", "expected"), debian_table)
def test_clock_changes(zone, expression, day, expected):
    """Each row of the table of durability 7.2 comes out as written, in UTC order."""
    cron = parse_cron(expression, zone)
    found = instants_from(cron, day, len(expected))
    assert [show(at, cron) for at in found] == expected
    assert found == sorted(set(found))


def show(instant: datetime, cron: Cron) -> str:
    local = instant.astimezone(cron.zone).isoformat()
    return f"{local[5:10]} {local[11:16]}{local[-6:]}"


def test_leap_days_only():
    """29 February fires in leap years and in no other."""
    found = instants_from(parse_cron("0 0 29 2 *", "UTC"), "2027-01-01", 2)
    assert [at.year for at in found] == [2028, 2032]


@pytest.mark.parametrize(
    "expression",
    [
        *("0 0 30 2 *", "0 0 31 2,4,6 *", "* * * * * *", "0 0 0 * * * 2027", "@reboot", "R * * * *", "H * * * *"),
        *("h/5 * * * *", "R(1-5) * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", ""),
        *("* * * *", "x * * * *", "*/0 * * * *", "0 0 * * 1,", "5-1-2 * * * *", "@every 5m", "\u0661 * * * *"),
        "0," * 200 + "0 * * * *",
    ],
)
def test_refused_expressions(expression):
    """What is not five readable fields with at least one date is an error at /cron."""
    with pytest.raises(Invalid) as caught:
        parse_cron(expression, "UTC")
    assert [(error.pointer, error.code) for error in caught.value.errors] == [("/cron", "bad_cron")]


@pytest.mark.parametrize(
    "zone", ["", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "localtime", "Asia", "a\0b", "KST"]
)
def test_refused_zones(zone):
    """A zone that is not in the IANA database is an error at /timezone, beside the one at /cron."""
    with pytest.raises(Invalid) as caught:
        parse_cron("nonsense", zone)
    assert [error.pointer for error in caught.value.errors] == ["/timezone", "/cron"]


@pytest.mark.parametrize(
    ("macro", "fields"), [("@hourly", "0 * * * *"), ("@Daily", "0 0 * * *"), ("@weekly", "0 0 * * 0")]
)
def test_macros(macro, fields):
    """A macro means the five fields it stands for, in any case."""
    long, short = parse_cron(fields, "Asia/Seoul"), parse_cron(macro, "Asia/Seoul")
    assert instants_from(long, "2027-01-01", 9) == instants_from(short, "2027-01-01", 9)


def test_fire_key_is_the_instant_in_utc():
    """The fire key is the instant in UTC, whatever zone it is given in, with a fraction only if there is one."""
    local = datetime(2027, 11, 7, 1, 30, tzinfo=ZoneInfo("America/New_York"))
    assert fire_key(local) == "2027-11-07T05:30:00Z"
    assert fire_key(local.replace(microsecond=5)) == "2027-11-07T05:30:00.000005Z"


def test_next_after_is_strictly_later():
    """Asking at an instant answers the following one, also inside a repeated hour."""
    cron = parse_cron("30 * * * *", "America/New_York")
    first = datetime(2027, 11, 7, 5, 30, tzinfo=UTC)
    assert cron.next_after(first) == first + timedelta(hours=1)
    assert cron.next_after(first - timedelta(microseconds=1)) == first


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    return st.lists(st.integers(low, high), min_size=1, max_size=3, unique=True).map(lambda n: ",".join(map(str, n)))


fixed_minutes, fixed_hours = numbers(0, 59), numbers(0, 23)
any_minutes = st.one_of(fixed_minutes, st.sampled_from(["*", "*/7", "*/15", "*/30", "10-50/20", "59"]))
any_hours = st.one_of(fixed_hours, st.sampled_from(["*", "*/2", "1-3", "0-23/5"]))
any_days = st.sampled_from(["* * *", "* * MON", "1,15 * *", "*/2 * 1", "1 * 5", "* 3,4,9-11 *", "L * *", "* * 5#2"])
moments = st.integers(0, 36 * 365 * 1440).map(
    lambda minute: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
)
changes = st.sampled_from(
    [
        ("America/New_York", datetime(2027, 3, 14, 0, tzinfo=UTC)),
        ("America/New_York", datetime(2027, 11, 7, 0, tzinfo=UTC)),
        ("Africa/Cairo", datetime(2027, 10, 28, 12, tzinfo=UTC)),
        ("Africa/Cairo", datetime(2027, 4, 29, 12, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2027, 10, 2, 8, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2027, 4, 3, 8, tzinfo=UTC)),
        ("America/Havana", datetime(2027, 3, 13, 20, tzinfo=UTC)),
        ("America/Havana", datetime(2027, 11, 6, 20, tzinfo=UTC)),
        ("Antarctica/Troll", datetime(2027, 10, 30, 12, tzinfo=UTC)),
        ("Antarctica/Troll", datetime(2027, 3, 27, 12, tzinfo=UTC)),
        ("Atlantic/Azores", datetime(2027, 10, 30, 12, tzinfo=UTC)),
        ("Africa/Casablanca", datetime(2027, 2, 6, 12, tzinfo=UTC)),
        ("Pacific/Apia", datetime(2011, 12, 29, 12, tzinfo=UTC)),
        ("Antarctica/Casey", datetime(2020, 10, 3, 8, tzinfo=UTC)),
    ]
)
places = st.one_of(changes, st.tuples(zones, moments))


def by_croniter_and_scan(cron: Cron, start: datetime, hours: int) -> list[datetime]:
    """The rule read literally: every minute of elapsed time for the second passes, every local time for the rest."""
    end = start + timedelta(hours=hours)
    local = start.astimezone(cron.zone).replace(tzinfo=None) - timedelta(days=2)
    walk = croniter(cron.expression, local, ret_type=datetime, implement_cron_bug=True)
    named = []
    while (at := walk.get_next()) < local + timedelta(days=4, hours=hours):
        named.append(at)
    found, exists = set(), {}
    for minute in range(-60 * 24, 60 * (hours + 24)):
        instant = start.replace(second=0, microsecond=0) + timedelta(minutes=minute)
        exists.setdefault(instant.astimezone(cron.zone).replace(tzinfo=None), []).append(instant)
    ordered = sorted(exists)
    for at in named:
        if at in exists:
            found.update(exists[at] if cron.wildcard else exists[at][:1])
        elif not cron.wildcard and ordered[0] < at < ordered[-1]:
            found.add(next(exists[later][0] for later in ordered if later > at))
    return sorted(instant for instant in found if start < instant <= end)


@settings(max_examples=60, deadline=None)
@given(places, any_minutes, any_hours, any_days)
@example(("America/New_York", datetime(2027, 11, 7, 0, tzinfo=UTC)), "*", "*", "* * *")
@example(("Pacific/Apia", datetime(2011, 12, 29, 12, tzinfo=UTC)), "30", "9", "* * *")
def test_agrees_with_a_scan_of_every_minute(place, minutes, hours, days):
    """Around clock changes and anywhere else the schedule names what a scan minute by minute names."""
    zone, start = place
    cron = parse_cron(f"{minutes} {hours} {days}", zone)
    window = 30
    expected = by_croniter_and_scan(cron, start, window)
    assert cron.instants(start, start + timedelta(hours=window), 10_000) == expected


@settings(max_examples=150, deadline=None)
@given(places, fixed_minutes, fixed_hours, st.sampled_from(["* * *", "* * MON", "1,15 * *", "*/2 * 1", "* 3,10 *"]))
def test_fixed_times_agree_with_cronsim(place, minutes, hours, days):
    """For fixed times cronsim, which follows Debian too, names the same instants."""
    zone, start = place
    assume(zone != "Pacific/Apia")  # cronsim looks at most one day ahead for the end of a gap
    cron = parse_cron(f"{minutes} {hours} {days}", zone)
    oracle = CronSim(f"{minutes} {hours} {days}", start.astimezone(ZoneInfo(zone)))
    expected = [next(oracle).astimezone(UTC) for _ in range(4)]
    assert cron.instants(start, start + timedelta(days=4000), 4) == expected


@settings(max_examples=60, deadline=None)
@given(places, any_minutes, any_hours, any_days, st.integers(0, 60 * 24 * 9), st.integers(0, 40))
@example(("Pacific/Apia", datetime(2011, 12, 29, 12, tzinfo=UTC)), "10-50/20", "0", "* * *", 2760, 0)
def test_count_and_latest_agree_with_walking(place, minutes, hours, days, length, limit):
    """`count` and `latest` are shortcuts: they say what listing every instant says."""
    zone, start = place
    cron, until = parse_cron(f"{minutes} {hours} {days}", zone), start + timedelta(minutes=length)
    listed = cron.instants(start, until, 100_000)
    assert cron.count(start, until) == len(listed)
    assert cron.latest(start, until, limit) == (listed[-limit:] if limit else [])


def clock_changes(zone: ZoneInfo, first: datetime, last: datetime) -> list[datetime]:
    """The moments at which a zone's offset changes, to the minute."""
    found, day = [], first
    while day < last:
        low, high = day, day + timedelta(days=1)
        if low.astimezone(zone).utcoffset() != high.astimezone(zone).utcoffset():
            while high - low > timedelta(minutes=1):
                middle = low + (high - low) / 2
                same = middle.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found.append(high.replace(second=0, microsecond=0))
        day += timedelta(days=1)
    return found


def test_every_clock_change_of_every_zone_agrees_with_cronsim():
    """Fixed times around each change of two years, in all zones of the database: what cronsim names, we name."""
    first, last, seen, checked = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC), set(), 0
    for name in sorted(available_timezones()):
        if "/" not in name or name.startswith(("Etc/", "posix/", "right/")):
            continue
        zone = ZoneInfo(name)
        for change in clock_changes(zone, first, last):
            before, after = (change - timedelta(hours=2)).astimezone(zone), change.astimezone(zone)
            rule = (change, before.utcoffset(), after.utcoffset())
            if rule in seen:
                continue  # zones that share a rule share its instants
            seen.add(rule)
            for local in (change - timedelta(minutes=30), change, change + timedelta(minutes=30)):
                at = local.astimezone(zone)
                for hour in {at.hour, (at.hour + 1) % 24, (at.hour - 1) % 24}:
                    expression = f"{at.minute} {hour} * * *"
                    start = change - timedelta(days=1)
                    oracle = CronSim(expression, start.astimezone(zone))
                    expected = [next(oracle).astimezone(UTC) for _ in range(3)]
                    found = parse_cron(expression, name).instants(start, start + timedelta(days=9), 3)
                    assert found == expected, (name, expression, change)
                    checked += 1
    assert checked > 200
