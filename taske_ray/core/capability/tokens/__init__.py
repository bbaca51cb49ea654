"""How a connection gets its tokens and keeps them: rules and conversations, without I/O, chance or a clock.

asking = Asking(module, scheme, connection, now, app=client)
flow = exchange(asking, code=…, verifier=…, redirect_uri=…)      # yields requests, returns Tokens or Failed
"""

from taske_ray.core.capability.tokens.answer import Tokens, token_names
from taske_ray.core.capability.tokens.authorize import authorize_url, is_from, missing_scopes, scopes_to_ask
from taske_ray.core.capability.tokens.flows import Completed, Sign, complete, exchange, renew, revoke
from taske_ray.core.capability.tokens.life import Standing, refresh_at, standing
from taske_ray.core.capability.tokens.parties import Asking, OAuthClient

__all__ = [
    "Asking",
    "Completed",
    "OAuthClient",
    "Sign",
    "Standing",
    "Tokens",
    "authorize_url",
    "complete",
    "exchange",
    "is_from",
    "missing_scopes",
    "refresh_at",
    "renew",
    "revoke",
    "scopes_to_ask",
    "standing",
    "token_names",
]
