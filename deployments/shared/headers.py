"""The headers of every answer (security, 8.7 and 13.1). HAProxy's own pages have the same (`launcher/haproxy.py`)."""

_policy = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


def protecting_headers(*, https: bool, sandboxed: bool = False) -> dict[str, str]:
    """Protect browsers, and keep answers out of caches; `sandboxed`: a page made of the answer could do nothing."""
    headers = {
        "content-security-policy": f"{_policy}; sandbox" if sandboxed else _policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cache-control": "no-store",
        "vary": "Authorization",
    }
    return headers | ({"strict-transport-security": "max-age=31536000"} if https else {})
