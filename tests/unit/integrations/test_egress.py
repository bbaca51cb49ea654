"""The address table, the URL rules and the operator's exceptions."""
# ruff: noqa: RUF001 - letters that only look like letters are the point

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

import httpx
import pytest
import yarl
from hypothesis import given, settings
from hypothesis import strategies as st

from taske_ray.core.url import BadUrl, canonical_host, parse_url
from taske_ray.errors import StartRefused
from taske_ray.integrations.egress import EgressDenied, EgressGuard, is_denied_address

DENIED_V4 = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
]


class Own:
    """A machine with these addresses, and an instance on these ports."""

    def __init__(self, addresses=(), ports=()):
        self._addresses = {ip_address(each) for each in addresses}
        self._ports = set(ports)

    def has_address(self, address):
        """As told."""
        return address in self._addresses

    def has_port(self, _address, port):
        """As told, everywhere."""
        return port in self._ports


def allowed(guard, url):
    """Whether the guard lets a URL with a literal address pass."""
    try:
        guard.check_url(url)
    except EgressDenied:
        return False
    return True


@pytest.mark.parametrize("block", DENIED_V4)
def test_first_and_last_address_of_each_block_are_denied(block):
    """Both ends of each denied block are denied."""
    network = ip_network(block)
    assert is_denied_address(network[0])
    assert is_denied_address(network[-1])


@pytest.mark.parametrize(
    "address",
    ["9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.32.0.0", "192.0.1.0", "223.0.0.0"],
)
def test_neighbours_of_the_blocks_are_allowed(address):
    """The addresses just outside a block are public."""
    assert not is_denied_address(IPv4Address(address))


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0", "::", "64:ff9b::", "::ffff:0:0:0"]))
def test_embedded_addresses_are_denied(address, prefix):
    """Whatever IPv4 address is inside, its IPv6 disguises are denied."""
    assert is_denied_address(IPv6Address(int(IPv6Address(prefix)) | int(address)))


@given(st.ip_addresses(v=4))
def test_6to4_is_denied(address):
    """2002::/16 carries any IPv4 address, so all of it is denied."""
    assert is_denied_address(IPv6Address((0x2002 << 112) | (int(address) << 80)))


@given(st.ip_addresses(v=6))
def test_only_2000_3_is_public(address):
    """An allowed IPv6 address lies in 2000::/3 and in none of its special blocks."""
    if not is_denied_address(address):
        assert address in ip_network("2000::/3")
        assert not address.is_private


@pytest.mark.parametrize("address", ["::1", "::", "fe80::1", "fc00::1", "ff02::1", "2001:db8::1", "2001::1", "3fff::1"])
def test_special_v6_addresses_are_denied(address):
    """Loopback, link-local, unique-local, multicast, documentation and Teredo are denied."""
    assert not allowed(EgressGuard(), f"http://[{address}]/")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://db/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://example.com:22/",
        "https://example.com:5432/",
        "https://8.8.8.8:25/",
    ],
)
def test_inside_is_denied(url):
    """Private addresses and names and the ports of other protocols are refused."""
    with pytest.raises(EgressDenied):
        EgressGuard().check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "example.com",
        "//example.com/",
        "http:///x",
        "http://u@example.com/",
        "http://u:p@example.com/",
        "http://@example.com/",
        "http://exa mple.com/",
        "http://example.com/a b",
        "http://example.com\\@evil.com/",
        "http://example.com/\r\nx",
        "http://example.com/\x00",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://[::1%25eth0]/",
        "http://exa%6dple.com/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://example..com/",
        "http://-a.com/",
        f"http://{'a' * 64}.com/",
        "http://example.com/\ud800",
        "http://example.com/\u2028",
        {"url": "http://example.com"},
        None,
    ],
)
def test_bad_urls_are_refused(url):
    """Anything but a plain absolute http(s) URL is refused, also the spellings that parsers disagree about."""
    with pytest.raises(BadUrl):
        parse_url(url)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("HTTP://Example.COM", "http://example.com/"),
        ("https://example.com.:443/a?b=c#d", "https://example.com/a?b=c"),
        ("https://Bücher.example/문서?q=서", "https://xn--bcher-kva.example/%EB%AC%B8%EC%84%9C?q=%EC%84%9C"),
        ("https://[2606:4700::0001]:8443/%2f%zz", "https://[2606:4700::1]:8443/%2f%25zz"),
        ("https://example.com?x={a}|b", "https://example.com/?x=%7Ba%7D%7Cb"),
    ],
)
def test_urls_are_canonical(url, text):
    """Host in lower case and ASCII, no fragment, no default port, unsafe characters encoded."""
    assert parse_url(url).text == text


@given(st.text(max_size=40))
def test_parsing_twice_changes_nothing(tail):
    """The canonical text of a URL parses to the same URL."""
    try:
        parsed = parse_url("https://example.com/" + tail)
    except BadUrl:
        return
    assert parse_url(parsed.text) == parsed


soup = (
    r"http https :// : / // @ # ? & = % %00 %2f %40 \ . .. [ ] :: ::1 fe80::1 %25lo 127.0.0.1 0x7f 0177 2130706433 "
    "example.com EXAMPLE.com. localhost xn-- xn--a xn--bcher-kva bücher faß \u3002 \uff0e \u00ad \u200b \u2028 ｅ "
    "80 080 0 65536 -1 ; , + ~ _ - * { | } ' \" < > ^ ` \t \n \r \0 é 한 user:pass@ \ud800"
)
pieces = st.lists(st.sampled_from(soup.split(" ")) | st.text(max_size=3), max_size=9).map("".join)


@settings(max_examples=600)
@given(st.sampled_from(["", "http://", "https://", "http://a.example"]), pieces)
def test_any_text_is_a_canonical_url_or_none(head, tail):
    """Nothing but BadUrl comes out, and what passes is read alike by every parser that could have a say."""
    try:
        parsed = parse_url(head + tail)
    except BadUrl:
        return
    assert parse_url(parsed.text) == parsed
    assert re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", parsed.host)
    assert parsed.text.isascii()
    assert not re.search(r"[\x00-\x20\\\\#]", parsed.text)
    for host, port, user in _other_readings(parsed.text):
        assert (host.strip("[]"), port or {"http": 80, "https": 443}[parsed.scheme], user) == (
            parsed.host,
            parsed.port,
            "",
        )


def _other_readings(text):
    """How the standard library, httpx and yarl read a URL: host, port, user information."""
    std, his, theirs = urlsplit(text), httpx.URL(text), yarl.URL(text, encoded=True)
    yield std.hostname, std.port, std.username or ""
    yield his.raw_host.decode(), his.port, his.userinfo.decode()
    yield theirs.raw_host, theirs.port, theirs.raw_user or ""


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("a\u200bb.example", "ab.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("ｅｘａｍｐｌｅ.com", "example.com"),
        ("example\u3002com", "example.com"),
        ("exam\u00adple.com", "example.com"),
        ("EXAMPLE.com.", "example.com"),
        ("[2001:DB8::0:1]", "2001:db8::1"),
    ],
)
def test_hosts_follow_idna_2008(host, canonical):
    """International names become their ASCII form, by the newer rule where the two differ."""
    assert canonical_host(host) == canonical


@pytest.mark.parametrize("host", ["xn--", "a..b", "-a.b", "a-.b", "☃.example", "a\u0300\u200db.example", "a" * 254])
def test_hosts_that_are_none(host):
    """What no registry would take is refused and not passed on to a resolver's guess."""
    with pytest.raises(BadUrl):
        canonical_host(host)


def test_host_and_port_open_exactly_that():
    """A `host:port` entry opens that name and port, also by its literal address, and nothing else."""
    guard = EgressGuard(["Drive.internal:8080", "127.0.0.1:9000", "[::1]:9001"])
    assert allowed(guard, "http://drive.internal:8080/")
    assert allowed(guard, "http://127.0.0.1:9000/")
    assert allowed(guard, "http://[::1]:9001/")
    guard.check_address("drive.internal", "10.0.0.1", 8080)
    assert not allowed(guard, "http://drive.internal:8081/")
    assert not allowed(guard, "http://127.0.0.1:9001/")
    with pytest.raises(EgressDenied):
        guard.check_address("other.internal", "10.0.0.1", 8080)


def test_networks_open_addresses_but_not_our_ports():
    """A CIDR opens its addresses; our own ports need to be named."""
    guard = EgressGuard(["127.0.0.0/8", "10.1.0.0/16:8443", "::1/128"], own=Own(ports={8000, 6380}))
    assert allowed(guard, "http://127.0.0.1:7777/")
    assert allowed(guard, "http://[::1]:7777/")
    assert not allowed(guard, "http://127.0.0.1:8000/")
    assert not allowed(guard, "http://127.0.0.1:5432/")
    assert allowed(guard, "http://10.1.2.3:8443/")
    assert not allowed(guard, "http://10.1.2.3:8444/")
    assert allowed(EgressGuard(["127.0.0.0/8:8000"], own=Own(ports={8000})), "http://127.0.0.1:8000/")
    assert allowed(EgressGuard(["127.0.0.1:5432"]), "http://127.0.0.1:5432/")


def test_own_addresses_are_denied():
    """A public address of this machine is as private as loopback."""
    guard = EgressGuard(own=Own(addresses={"8.8.4.4"}))
    assert not allowed(guard, "http://8.8.4.4/")
    assert allowed(guard, "http://8.8.8.8/")


def test_plain_http_is_covered_by_name_or_literal_address():
    """The operator's entry says where a secret may go without TLS."""
    guard = EgressGuard(["drive.test:80", "10.0.0.0/8"])
    assert guard.allows_plain_http("drive.test", 80)
    assert guard.allows_plain_http("10.2.3.4", 99)
    assert not guard.allows_plain_http("drive.test", 81)
    assert not guard.allows_plain_http("example.com", 80)


@pytest.mark.parametrize("entry", ["example.com", "10.0.0.0/40", "x:y", "exa mple:80", ":80", ""])
def test_entries_that_make_no_sense_stop_the_start(entry):
    """A mistake in TASKE_EGRESS_ALLOW is told at the start and not ignored."""
    with pytest.raises(StartRefused):
        EgressGuard([entry])
