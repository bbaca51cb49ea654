"""The egress guard in a network where every address answers, through every sink, its policy unmodified (19.3).

What is asserted is what the listeners heard, not only what we said.
"""
# ruff: noqa: RUF001 - digits that only look like digits are the point

import statistics
from ipaddress import IPv6Address, ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taske_ray.integrations.egress import EgressDenied
from tests.integration.egress.namespace import OWN_ADDRESS
from tests.integration.egress.sinks import BEHIND_A_REQUEST, REFUSALS, SINKS
from tests.integration.egress.stand import PUBLIC

PUBLIC_V6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
INNER = "inner.example.com"

DENIED_URLS = [
    # metadata, private, shared, loopback, link-local, documentation, benchmarking, multicast, reserved
    *(f"http://{address}/" for address in (
        "169.254.169.254", "100.100.100.200", "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.5", "172.17.0.1",
        "192.168.1.1", "192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.7",
        "224.0.0.1", "240.0.0.1", "255.255.255.255",
    )),
    # the same address in the notations of resolvers, browsers and parsers
    "http://2852039166/", "http://0xa9fea9fe/", "http://0xA9.0xFE.0xA9.0xFE/", "http://0251.0376.0251.0376/",
    "http://025177524776/", "http://169.254.43518/", "http://169.16689662/", "http://127.1/", "http://127.0.1/",
    "http://127.000.000.001/", "http://0177.1/", "http://0x7f.1/", "http://017700000001/", "http://0/",
    "http://169.254.169.254./", "http://169.254.169.254:80/", "http://169。254。169。254/",
    "http://１６９.２５４.１６９.２５４/", "http://①⑥⑨.②⑤④.①⑥⑨.②⑤④/", "http://169.254.169.254%2f/",
    "http://%31%36%39.254.169.254/", "http://169.254.169.254%00.example.com/", "http://169.254.169%2e254/",
    # names that mean this machine or a private network
    "http://localhost/", "http://LocalHost/", "http://localhost./", "http://foo.localhost/", "http://ⓛocalhost/",
    "http://local\u00adhost/", "http://metadata.google.internal/", "http://metadata/", "http://printer.local/",
    "http://1.0.0.127.in-addr.arpa/", "http://[::]/", "http://ip6-localhost/",
    # IPv6: loopback, unique-local, link-local, zone ids, and every way to carry an IPv4 address
    *(f"http://[{address}]/" for address in (
        "::1", "0:0:0:0:0:0:0:1", "fd00:ec2::254", "fc00::1", "fe80::1", "fe80::1%25lo", "fe80::1%lo", "::1%25lo",
        "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::ffff:0:a9fe:a9fe", "::169.254.169.254", "::a9fe:a9fe",
        "64:ff9b::a9fe:a9fe", "64:ff9b::169.254.169.254", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::", "2001::1", "2001:db8::1", "3fff::1", "ff02::1", "100::1", "5f00::1",
        "::ffff:93.184.215.14",
    )),
    # user information, back slashes, white space and other things that parsers see differently
    f"http://{PUBLIC}@10.0.0.5/", f"http://{PUBLIC}:80@10.0.0.5/",
    "http://10.0.0.5\\@example.com/", f"http://{PUBLIC}\\@10.0.0.5/", "http://10.0.0.5\t/", "http://10.0.\n0.5/",
    " http://10.0.0.5/", "http:// 10.0.0.5/", "http:/10.0.0.5/", "http:10.0.0.5/", "http:///10.0.0.5/",
    "http://10.0.0.5:080/", "http://10.0.0.5:80:80/", "http://10.0.0.5:８０/", "http://10.0.0.5:0/",
    "http://[10.0.0.5]/", "http://10.0.0.5,1.1.1.1/", "HTTP://10.0.0.5/", "http://;@10.0.0.5/",
    "http://user:pass@localhost/", "//10.0.0.5/", "10.0.0.5", "",
    # other schemes
    "file:///etc/passwd", "gopher://10.0.0.5/_", "ftp://10.0.0.5/", "dict://10.0.0.5:11211/", "ws://10.0.0.5/",
    "unix:///run/docker.sock", "http+unix://%2Frun%2Fdocker.sock/", "data:text/plain,x", "jar:http://10.0.0.5/!/",
    "javascript:alert(1)", "http+http://10.0.0.5/",
    # the machine's own public address
    f"http://{OWN_ADDRESS}/", f"http://[::ffff:{OWN_ADDRESS}]/",
]  # fmt: skip
DENIED_NAMES = {
    "to a private address": [["10.0.0.5"]],
    "to metadata": [["169.254.169.254"]],
    "to loopback, v6": [["::1"]],
    "to itself": [[OWN_ADDRESS]],
    "mixed": [[PUBLIC, "10.0.0.5"]],
    "mixed, the other way": [["10.0.0.5", PUBLIC]],
    "mixed families": [[PUBLIC, "fd00:ec2::254"]],
    "mapped": [[PUBLIC_V6, "::ffff:10.0.0.5"]],
    "through NAT64": [["64:ff9b::a00:5"]],
    "through 6to4": [["2002:a00:5::1"]],
    "nothing": [[]],
}
every_sink = pytest.mark.parametrize("sink", sorted(SINKS))


def beyond_the_first(answer, sink):
    """What the listeners heard, without the requests that lead to the URL in the first place."""
    first = BEHIND_A_REQUEST.get(sink, 0)
    assert answer["hits"][:first] == [f"{PUBLIC} 80"] * first
    return answer["hits"][first:]


def refused(answer):
    """The codes of the outcomes, every one of which must be a failure."""
    assert {outcome["kind"] for outcome in answer["outcomes"]} == {"Failed"}
    return {outcome["code"] for outcome in answer["outcomes"]}


@every_sink
def test_nobody_hears_of_denied_urls(world, sink):
    """Each of them is refused, and no connection is made: neither to the place nor to anywhere else."""
    wrong = []
    for url in DENIED_URLS:
        answer = world.ask(sink, url)
        quiet = not answer["hits"] or (sink in BEHIND_A_REQUEST and not set(answer["hits"]) - {f"{PUBLIC} 80"})
        outcome = answer["outcomes"][0]
        # a page or a redirect to nowhere, or to a path of the same service, is no way out
        harmless = sink in BEHIND_A_REQUEST and outcome["kind"] != "Failed"
        if not quiet or (outcome["kind"] != "Failed" and not harmless) or INNER in answer["asked"]:
            wrong.append((url, answer))
    assert wrong == []


@every_sink
@pytest.mark.parametrize("case", sorted(DENIED_NAMES))
def test_nobody_hears_of_names_that_lead_inside(world, sink, case):
    """One denied address among the answers refuses the name."""
    answer = world.ask(sink, f"https://{INNER}/", names={INNER: DENIED_NAMES[case]})
    assert beyond_the_first(answer, sink) == []
    assert refused(answer) == {REFUSALS.get(sink, "egress_denied")}


@every_sink
def test_public_addresses_are_heard(world, sink):
    """The other half of each case here: what is public is connected to, by address and by name."""
    names = {"api.example.com": [[PUBLIC, PUBLIC_V6] if world.v6 else [PUBLIC]]}
    for url in (f"https://{PUBLIC}/", "https://api.example.com/", f"https://[{PUBLIC_V6}]/"):
        if "[" in url and not world.v6:
            continue
        heard = beyond_the_first(world.ask(sink, url, names=names), sink)
        assert heard
        assert set(heard) <= {f"{PUBLIC} 443", f"{PUBLIC_V6} 443"}


@pytest.mark.parametrize(
    "tail", ["#@10.0.0.5:80@inner.example.com/", "/@10.0.0.5/", "?@10.0.0.5/", "/http://10.0.0.5/"]
)
def test_what_comes_after_the_host_is_no_host(world, tail):
    """A host that only some parsers see is not called; the one that is checked is the one that hears."""
    answer = world.ask("http.request", f"http://{PUBLIC}{tail}", names={INNER: [["10.0.0.5"]]})
    assert set(answer["hits"]) == {f"{PUBLIC} 80"}


@pytest.mark.parametrize("port", [22, 25, 465, 587, 6379, 5432, 3306, 9200, 11211, 27017])
@pytest.mark.parametrize("host", [PUBLIC, "api.example.com"])
def test_ports_of_other_protocols_stay_silent(world, host, port):
    """Also on public addresses, and whatever a network entry of the operator covers."""
    for sink in ("http.request", "redirect"):
        for allow in ([], ["0.0.0.0/0"], [f"0.0.0.0/0:{port}"]):
            names = {"api.example.com": [[PUBLIC]]}
            answer = world.ask(sink, f"http://{host}:{port}/", names=names, allow=allow)
            assert beyond_the_first(answer, sink) == []
            assert refused(answer) == {"egress_denied"}


@pytest.mark.parametrize(
    ("sink", "port"), [("smtp", 25), ("smtp", 465), ("test of an account", 587), ("postgres", 5432)]
)
def test_ports_of_other_protocols_are_for_those_who_speak_them(world, sink, port):
    """A mail server and a database are reached where they listen, at public addresses, and nowhere inside."""
    names = {"api.example.com": [[PUBLIC]], INNER: [["10.0.0.5"]]}
    for host in (PUBLIC, "api.example.com"):
        assert world.ask(sink, f"https://{host}:{port}/", names=names)["hits"] == [f"{PUBLIC} {port}"]
    for host in ("10.0.0.5", "127.0.0.1", INNER):
        answer = world.ask(sink, f"https://{host}:{port}/", names=names)
        assert answer["hits"] == []
        assert refused(answer) == {"egress_denied"}


def test_the_operator_opens_exactly_what_is_said(world):
    """A name at a port, a network, a network at a port; our own port only where it is named."""
    names = {"drive.corp.example": [["10.0.0.5"]]}

    def heard(url, *allow):
        return world.ask("http.request", url, names=names, allow=allow)["hits"]

    assert heard("http://drive.corp.example:8080/", "drive.corp.example:8080") == ["10.0.0.5 8080"]
    assert heard("http://drive.corp.example/", "drive.corp.example:8080") == []
    assert heard("http://10.0.0.5:8080/", "drive.corp.example:8080") == []
    assert heard("http://drive.corp.example/", "10.0.0.0/8") == ["10.0.0.5 80"]
    assert heard("http://10.0.0.5/", "10.0.0.0/8:8080") == []
    assert heard("http://10.0.0.5:8080/", "10.0.0.0/8:8080") == ["10.0.0.5 8080"]
    assert heard("http://127.0.0.1:8000/", "127.0.0.0/8") == []
    assert heard("http://127.0.0.1:8080/", "127.0.0.0/8") == ["127.0.0.1 8080"]
    assert heard("http://127.0.0.1:8000/", "127.0.0.1:8000") == ["127.0.0.1 8000"]
    assert heard("http://10.0.0.5:5432/", "10.0.0.5:5432") == ["10.0.0.5 5432"]


@every_sink
def test_a_name_that_changes_its_mind_is_caught(world, sink):
    """Rebinding: public at the first look-up, private at the next; each connection is decided anew, and by one look-up.

    The address that was checked is the one that is used: there is no second question to answer differently.
    """
    names = {"rebind.example.com": [[PUBLIC], ["10.0.0.5"]]}
    once = world.ask(sink, "https://rebind.example.com/", names=names)
    assert beyond_the_first(once, sink) == [f"{PUBLIC} 443"]
    assert once["asked"] == ["rebind.example.com"] * 2  # one for each family
    twice = world.ask(sink, "https://rebind.example.com/", names=names, times=2)
    assert set(twice["hits"]) <= {f"{PUBLIC} 80", f"{PUBLIC} 443"}
    assert twice["hits"].count(f"{PUBLIC} 443") == 1
    assert twice["outcomes"][1]["code"] == REFUSALS.get(sink, "egress_denied")


def test_search_domains_stay_out(world):
    """A name of nowhere is not tried inside the machine's own domain, whose existence nobody shall learn of."""
    names = {"api.example.com.corp.example": [["10.0.0.5"]], "www.corp.example": [["10.0.0.5"]]}
    answer = world.ask("http.request", "http://api.example.com/", names=names)
    assert refused(answer) == {"egress_denied"}
    assert set(answer["asked"]) == {"api.example.com"}
    assert world.ask("http.request", "http://www/", names=names)["asked"] == []


def test_a_name_server_that_fails_is_no_refusal(world):
    """Trouble with names is transient, and told apart from a refusal only where a name is public."""
    broken = world.ask("http.request", "http://api.example.com/", names={"api.example.com": [None]})
    assert [(each["code"], each["class"]) for each in broken["outcomes"]] == [("name_not_found", "transient")]
    private = world.ask("http.request", "http://db.internal/", names={"db.internal": [None]}, allow=["10.0.0.0/8"])
    assert refused(private) == {"egress_denied"}


@every_sink
def test_refusals_say_the_same(world, sink):
    """Whatever is at a place, and whether there is such a name: one answer, the guard's own where it is told."""
    names = {INNER: [["10.0.0.5"]]}
    seen = set()
    for place in ("10.0.0.5", "10.0.0.5:9", "127.0.0.1:8000", INNER, f"{INNER}:9", "missing.example.com", "localhost"):
        answer = world.ask(sink, f"https://{place}/", names=names)
        assert refused(answer) == {REFUSALS.get(sink, EgressDenied.code)}
        seen.add(tuple(answer["outcomes"][0][part] for part in ("code", "message", "class", "sent")))
    assert len(seen) == 1
    assert sink in REFUSALS or {message for _, message, _, _ in seen} == {EgressDenied().message}


def test_refusals_look_alike(world):
    """Open or closed, existing or missing, by address or by name: one code, one text, one class, and about one time."""
    names = {INNER: [["10.0.0.5"]], "both.example.com": [[PUBLIC, "10.0.0.5"]]}
    by_address = ["http://10.0.0.5/", "http://10.0.0.5:9/", "http://127.0.0.1:8000/", f"http://{PUBLIC}:6379/"]
    by_name = [f"https://{INNER}/", f"https://{INNER}:9/", "https://missing.example.com/", "https://both.example.com/"]
    seen, medians = set(), {}
    for group in (by_address, by_name):
        times = {url: [] for url in group}
        for _ in range(15):
            for url in group:
                outcome = world.ask("http.request", url, names=names)["outcomes"][0]
                seen.add((outcome["code"], outcome["message"], outcome["class"], outcome["sent"]))
                times[url].append(outcome["seconds"])
        medians[group[0]] = [statistics.median(each) for each in times.values()]
    assert len(seen) == 1
    for each in medians.values():
        assert max(each) - min(each) < 0.01


def test_many_dead_addresses_get_the_time_of_one(world):
    """A name with thirty addresses where nobody answers is given up after the time that one of them would get."""
    names = {"dead.example.com": [[f"93.184.215.{number}" for number in range(100, 130)]]}
    answer = world.ask("http.request", "http://dead.example.com:9/", names=names)
    assert refused(answer) == {"connect_failed"}
    assert 4.5 < answer["outcomes"][0]["seconds"] < 7


inside = st.sampled_from(
    ["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
     "198.18.0.0/15", "203.0.113.0/24", "240.0.0.0/4"]
).flatmap(lambda block: st.ip_addresses(v=4, network=ip_network(block)))  # fmt: skip


def _notations(address):
    """An IPv4 address in every spelling that some parser takes for it."""
    number, parts = int(address), str(address).split(".")
    a, b, c, d = map(int, parts)
    yield from (str(number), hex(number), oct(number).replace("o", ""), f"0x{number:08X}")
    yield from (f"{a}.{number & 0xFFFFFF}", f"{a}.{b}.{number & 0xFFFF}", f"0x{a:x}.0{b:o}.{c}.{d}")
    yield from (".".join(f"{int(part):04o}" for part in parts), ".".join(f"{int(part):03d}" for part in parts))
    for prefix in ("::ffff:0:0", "::", "64:ff9b::", "::ffff:0:0:0"):
        yield f"[{IPv6Address(int(IPv6Address(prefix)) | number)}]"
    yield f"[{IPv6Address((0x2002 << 112) | (number << 80) | 1)}]"
    yield f"[::ffff:{address}]"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(address=inside, data=st.data(), sink=st.sampled_from(["http.request", "poll", "redirect"]))
def test_no_spelling_of_an_inner_address_is_heard(world, address, data, sink):
    """Any denied address, however it is written."""
    host = data.draw(st.sampled_from([str(address), *_notations(address)]))
    assert beyond_the_first(world.ask(sink, f"http://{host}/"), sink) == []


_special_to_us = ("192.0.0.0/24", "192.88.99.0/24", f"{OWN_ADDRESS}/32")  # global to Python, private to us


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(address=st.ip_addresses())
def test_what_is_heard_is_public(world, address):
    """Of all addresses there are, only public ones hear of us; Python's own idea of private is the second opinion."""
    host = f"[{address}]" if address.version == 6 else str(address)
    heard = world.ask("http.request", f"http://{host}/")["hits"]
    if heard:
        assert not address.is_private
        assert not address.is_multicast
        assert address.version == 4 or (address.sixtofour is None and address.teredo is None)
    elif address.version == 4:
        special = address.is_multicast or any(address in ip_network(block) for block in _special_to_us)
        assert not address.is_global or special
