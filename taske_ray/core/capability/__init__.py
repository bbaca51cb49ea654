"""Modules and capabilities as data: read a document, hold a conversation with its service, without I/O.

module = parse_module(document)
capability = module.capabilities["google.drive.list_files"]
params = capability.params.fill({"folder_id": "0AE"}, now="2026-01-01T00:00:00Z")
conversation = converse(capability, CallContext(params=params, now=..., connection=...))
"""

from taske_ray.core.capability.document.auth import AuthScheme
from taske_ray.core.capability.document.hosts import host_of, is_allowed, is_bound_to, is_host_pattern, origin_of
from taske_ray.core.capability.document.parse import parse_module
from taske_ray.core.capability.document.policy import IdempotencyClass, RateHeaders, RateLimit
from taske_ray.core.capability.document.poll import CursorSpec, PollSpec
from taske_ray.core.capability.document.verify import parse_verify
from taske_ray.core.capability.exchange.context import CallContext, ConnectionValues
from taske_ray.core.capability.exchange.conversation import connection_test, converse
from taske_ray.core.capability.exchange.fetched import fetched
from taske_ray.core.capability.exchange.plan import idempotency_class, plan_request
from taske_ray.core.capability.exchange.recorded import run_recorded_test
from taske_ray.core.capability.exchange.verdict import learned_wait
from taske_ray.core.capability.module import Capability, Module, canonical_hash
from taske_ray.core.capability.params import ParamsSchema

__all__ = [
    "AuthScheme",
    "CallContext",
    "Capability",
    "ConnectionValues",
    "CursorSpec",
    "IdempotencyClass",
    "Module",
    "ParamsSchema",
    "PollSpec",
    "RateHeaders",
    "RateLimit",
    "canonical_hash",
    "connection_test",
    "converse",
    "fetched",
    "host_of",
    "idempotency_class",
    "is_allowed",
    "is_bound_to",
    "is_host_pattern",
    "learned_wait",
    "origin_of",
    "parse_module",
    "parse_verify",
    "plan_request",
    "run_recorded_test",
]
