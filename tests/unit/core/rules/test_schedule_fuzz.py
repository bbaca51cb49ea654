"""Whatever is written for a cron expression, an interval or a zone: an error that names the field, or a schedule."""

# ruff: noqa: RUF001 - digits that only look like digits are the point

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taske_ray.core.interval import parse_interval
from taske_ray.core.schedule import parse_cron
from taske_ray.errors import Invalid
from tests.unit.core.counting import counted

MOST_CALLS = 20_000
SOUP = (
    "0 1 5 7 9 12 23 24 28 29 30 31 32 59 60 99 * / - , # L l MON sun feb JAN ? W H R 2 1#5 5#5 l5 */2 */99 1-5 5-1 "
    "@daily @reboot @@ ** -- // ٣ ¹ 0x1 1e1 +1 '' {{ }} % \\ \n \t \0 \ud800 🕐 -1 00 007 */0 1/0 0-59"
)
ODD = ["* " * 5, "*," * 120 + "*", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "1-" * 127, "9" * 256, "* * * * *" * 40]
ZONES = (
    "UTC Asia/Seoul America/New_York Pacific/Apia Africa/Casablanca x ../../etc/passwd /etc/passwd Europe/London\0 "
    "\ud800 localtime posixrules leapseconds"
)
INTERVALS = "PT1S PT0.5S P1Y -PT5M PT P PT1e9S P1W PT1H30M P1DT pt5m PT٥M PT5M\n \ud800"
fields = st.lists(st.sampled_from(SOUP.split(" ")), min_size=1, max_size=4).map("".join)
usual = st.sampled_from(["0", "*", "*/2", "1,2", "5-7", "29", "31", "2", "*/31", "MON#5", "L", "4/7", "0-6", "59"])
expressions = (
    st.lists(fields, max_size=7).map(" ".join)
    | st.lists(usual, min_size=5, max_size=5).map(" ".join)
    | st.text(max_size=40)
    | st.sampled_from(ODD)
)
zones = st.sampled_from([*ZONES.split(" "), "", "UTC " * 50])
instants = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
quick = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def _schedule(expression, zone):
    try:
        return parse_cron(expression, zone)
    except Invalid as error:
        return error


@quick
@given(expressions, zones, instants)
def test_any_expression_is_a_schedule_or_an_error(expression, zone, after):
    """Nothing but Invalid comes out, with the field; a schedule moves forward, soon, and without end."""
    found, calls = counted(lambda: _schedule(expression, zone))
    assert calls < 50 * MOST_CALLS
    if isinstance(found, Invalid):
        assert {error.pointer for error in found.errors} <= {"/cron", "/timezone", ""}
        assert found.errors
        return
    following, calls = counted(lambda: found.next_after(after))
    assert calls < MOST_CALLS
    assert following is not None
    assert following > after
    assert found.next_after(following) > following
    assert found.instants(after, following, 5) == [following]


@quick
@given(st.text(max_size=30) | st.sampled_from([*INTERVALS.split(" "), "PT" + "9" * 300 + "S"]))
def test_any_interval_is_one_or_an_error(text):
    """The same for intervals."""
    try:
        interval = parse_interval(text, datetime(2026, 1, 1, tzinfo=UTC))
    except Invalid:
        return
    after = datetime(2026, 1, 1, tzinfo=UTC)
    assert interval.next_after(after) >= after + timedelta(0)
