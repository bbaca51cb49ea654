"""How many requests one caller may send: tokens, addresses and sign-ups each have their own count."""

from deployments.shared.rates import Rates
from taske_ray.limits import Limits

LIMITS = Limits(token_per_min=5, address_per_min=3, sign_ups_per_hour=2)
VALID = {b"Bearer a", b"Bearer b"}


class World:
    """A clock, a layer of rates, and an app behind it that knows two tokens and counts what reaches it."""

    def __init__(self, limits=LIMITS):
        self.now = 0.0
        self.reached = 0
        self.valid = set(VALID)
        self.rates = Rates(self._app, limits, exempt=["/healthz"], sign_ups=["/signup"], monotonic=lambda: self.now)

    async def _app(self, scope, _receive, send):
        self.reached += 1
        token = dict(scope["headers"]).get(b"authorization")
        if token in self.valid:
            scope["state"]["principal"] = token
        status = 401 if token and token not in self.valid else 200
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def ask(self, path="/x", *, token=None, address="10.0.0.1"):
        """The status of a request, and its headers."""
        sent = []

        async def send(message):
            sent.append(message)

        headers = [(b"host", b"x"), *([(b"authorization", f"Bearer {token}".encode())] if token else [])]
        scope = {"type": "http", "path": f"/api{path}", "root_path": "/api", "headers": headers}
        await self.rates(scope | {"client": (address, 1), "state": {"request_id": "r"}}, None, send)
        self.headers = dict(sent[0]["headers"])
        return sent[0]["status"]

    async def statuses(self, count, **request):
        """The statuses of as many requests."""
        return [await self.ask(**request) for _ in range(count)]


async def test_an_address_has_its_count():
    """Without a token the address pays; what is over is 429 with the time to come back, and costs the app nothing."""
    world = World()
    assert await world.statuses(5) == [200, 200, 200, 429, 429]
    assert world.headers[b"retry-after"] == b"20"
    assert world.reached == 3
    assert await world.ask(address="10.0.0.2") == 200
    world.now = 20.0
    assert await world.statuses(2) == [200, 429]


async def test_a_valid_token_has_its_own_count_wherever_it_comes_from():
    """The first request with a token is the address's, all others are the token's."""
    world = World()
    assert await world.statuses(7, token="a") == [200] * 5 + [429] * 2
    assert await world.statuses(3) == [200, 200, 429]
    assert await world.ask(token="a", address="10.0.0.9") == 429
    assert await world.ask(token="b", address="10.0.0.9") == 200


async def test_a_token_without_a_limit_does_not_pay_from_its_address():
    """Where tokens are not limited a valid one may ask as often as it likes, and its address keeps its count."""
    world = World(Limits(token_per_min=None, address_per_min=3))
    assert await world.statuses(50, token="a") == [200] * 50
    assert await world.statuses(3) == [200, 200, 429]


async def test_made_up_tokens_give_nobody_more():
    """A new invention each time, and the same one again, are counted for the address alone."""
    world = World()
    assert [await world.ask(token=f"made-up-{number}") for number in range(5)] == [401, 401, 401, 429, 429]
    assert await world.ask(token="a") == 429
    world = World()
    assert await world.statuses(5, token="made-up") == [401, 401, 401, 429, 429]


async def test_a_token_that_died_loses_its_count():
    """What was valid and is no more counts for the address again."""
    world = World()
    assert await world.statuses(2, token="a") == [200, 200]
    world.valid.clear()
    assert await world.statuses(4, token="a") == [401, 401, 401, 429]


async def test_sign_ups_are_counted_by_the_hour():
    """Two an hour here, whatever else the address may do, and the next after half an hour."""
    world = World(Limits(sign_ups_per_hour=2))
    assert await world.statuses(3, path="/signup") == [200, 200, 429]
    assert world.headers[b"retry-after"] == b"1800"
    assert await world.ask() == 200


async def test_health_is_never_limited():
    """Whoever watches the service may ask as often as it likes."""
    world = World()
    assert set(await world.statuses(20, path="/healthz")) == {200}


async def test_long_addresses_are_counted_by_network():
    """Whoever has one IPv6 address has 2^64 of them."""
    world = World()
    asked = [await world.ask(address=f"2001:db8::{number}") for number in range(1, 5)]
    assert asked == [200, 200, 200, 429]
    assert await world.ask(address="2001:db8:0:1::1") == 200
