"""The rewriting of Serve's HAProxy configuration, on text of the shape that Ray 2.60 writes."""

import pytest

from taske_ray.launcher.haproxy import CHECK_LIMIT_S, rewrite

CONFIG = """global
    log 127.0.0.1:514 local0 info
    stats socket /run/a mode 666 level admin expose-fd listeners
    maxconn 4096
defaults
    mode http
    log global
    option httplog
    errorfile 502 /run/500.http
    errorfile 503 /run/500.http
    balance leastconn
    option redispatch 1
    retry-on conn-failure
    retries 1
frontend prometheus
    bind :9101
    http-request use-service prometheus-exporter if { path /metrics }
frontend http_frontend
    bind 127.0.0.1:8000
    acl routes path -i /-/routes
    use_backend http-task if is_http-task
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain string "Ping http://.../-/routes"
backend http-task
    log global
    default-server fastinter 250ms downinter 250ms fall 2 rise 2 inter 1s check
    server r1 127.0.0.1:30001 check
listen stats
  bind *:8404
  stats enable
"""


def rewritten(host=None, trusted=()):
    return rewrite(CONFIG, host=host, trusted=trusted)


def test_admin_socket_is_private():
    """The admin socket, through which anything can be reconfigured, is for its owner alone."""
    assert "mode 600 level admin" in rewritten()
    assert "666" not in rewritten()


def test_statistics_and_metrics_are_gone():
    """No port is opened for statistics or metrics: both were open to everybody."""
    assert [line.strip() for line in rewritten().splitlines() if line.strip().startswith("bind ")] == [
        "bind 127.0.0.1:8000 proto h1"
    ]


def test_no_request_is_logged_to_the_network():
    """Nothing is sent to a syslog port, where hook tokens would travel in clear text."""
    assert "514" not in rewritten()
    assert "httplog" not in rewritten()


@pytest.mark.parametrize(
    ("host", "bind"), [("0.0.0.0", "bind *:8000"), ("::1", "bind [::1]:8000"), ("10.0.0.7", "bind 10.0.0.7:8000")]
)
def test_the_front_door_listens_where_people_connect(host, bind):
    """The address of the front door is ours, not the one that replicas listen on."""
    assert bind in rewritten(host=host)


def test_forwarding_headers_of_strangers_are_removed_before_ours_is_set():
    """Whatever a client claims about its address goes, and then the true peer is written."""
    text = rewritten()
    removed, written = text.index("del-header x-forwarded- -m beg"), text.index("set-header x-forwarded-for %[src]")
    assert removed < written
    assert "acl trusted_proxy always_false" in text
    assert "http-request del-header x-request-timeout-seconds\n" in text
    assert "http-request set-header x-request-id %[unique-id] if !of_hooks or !has_id\n" in text


def test_a_trusted_proxy_is_believed():
    """The addresses of outer proxies, and only those, may speak for others."""
    assert "acl trusted_proxy src 10.0.0.1 10.1.0.0/16" in rewritten(trusted=("10.0.0.1", "10.1.0.0/16"))


def test_whoever_waits_for_a_replica_that_hangs_is_told():
    """A check has its limit, and a replica that is marked down lets go of its requests."""
    assert f"    timeout check {CHECK_LIMIT_S}s" in rewritten().splitlines()
    assert "inter 1s check on-marked-down shutdown-sessions\n" in rewritten()


@pytest.mark.parametrize("words", ["all-retryable-errors", "conn-failure empty-response", ""])
def test_no_door_repeats_what_was_delivered(words):
    """A configuration that would send a request again after bytes of it had arrived is refused, in any section."""
    line = "    retry-on conn-failure\n"
    other = f"    retry-on {words}\n" if words else ""
    with pytest.raises(ValueError, match="would repeat requests"):
        rewrite(CONFIG.replace(line, other), host=None, trusted=())
    if words:
        with pytest.raises(ValueError, match="would repeat requests"):
            rewrite(CONFIG.replace("backend http-task\n", f"backend http-task\n{other}"), host=None, trusted=())


def test_rewriting_twice_changes_nothing():
    """Ray starts HAProxy again on the same file: what is rewritten stays."""
    once = rewritten(host="::")
    assert rewrite(once, host="::", trusted=()) == once


def test_what_is_not_ours_stays():
    """Backends, servers and routing rules pass through as they are."""
    for line in (
        "    use_backend http-task if is_http-task",
        "    server r1 127.0.0.1:30001 check",
        "    maxconn 4096",
    ):
        assert line in rewritten().splitlines()


@pytest.mark.parametrize("lost", ["mode 666 level admin", "frontend http_frontend", "defaults"])
def test_a_changed_template_is_refused(lost):
    """If a line to hang our rules on is missing, HAProxy does not start: no door rather than an open one."""
    with pytest.raises(ValueError, match="has changed"):
        rewrite(CONFIG.replace(lost, "other"), host=None, trusted=())
