"""What `cache_s` of a `pre` request keeps: its output, as JSON, under a name for all that it was made from.

The name is a digest of the rendered request and of the values that its output, its `success` and the error rules read
besides the answer: a request that is the same for two calls may be read with other parameters. Whose it is, and of
which capability, is added by whoever keeps it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from taske_ray.core.capability.document.expression import expressions_in
from taske_ray.core.capability.document.response import PreSpec
from taske_ray.core.capability.exchange.talk import public
from taske_ray.core.capability.module import Capability
from taske_ray.core.http import HttpRequest

_of_the_call: Final = ("params", "conn", "pre", "now", "run", "cursor")


def name_of(pre: PreSpec, capability: Capability, request: HttpRequest, scope: Mapping[str, Any]) -> str:
    """The name under which the output of this request is kept."""
    readers = list(expressions_in((pre.response, capability.errors)))
    seen = public(scope)
    read = {
        root: seen[root] for root in _of_the_call if any(each.template.reads(frozenset({(root,)})) for each in readers)
    }
    asked = [request.method, request.url, request.headers, request.allowed_hosts, request.max_redirects, read]
    digest = hashlib.sha256(json.dumps([pre.id, asked], sort_keys=True).encode())
    digest.update(request.body if request.body is not None else b"")
    return f"{pre.id}:{digest.hexdigest()}"
