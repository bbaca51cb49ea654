"""What a person can do about a failed step, by the error's code and else by its class. Words only, no decisions."""

from collections.abc import Mapping
from typing import Any

_by_code = {
    "template_undefined": "Check the name in the template, or say what stands in for it: {{ … | default: 'nothing' }}.",
    "template_limit": "Let the template do less: fewer rounds, shorter texts.",
    "unknown_connection": "Choose another connection for this action and save the task.",
    "connection_required": "Choose a connection for this action and save the task.",
    "response_too_large": "Ask the service for less: fewer fields, a filter, a smaller page.",
    "output_too_large": "Ask the service for less: fewer fields, a filter, a smaller page.",
    "input_too_large": "Send less in this step: pick the parts of earlier outputs that are needed.",
    "egress_denied": "Check the spelling; what is not public the operator can allow with TASKE_EGRESS_ALLOW.",
    "run_timeout": "Split the task: a run may be active for one hour.",
    "tls_failed": "Check the address and the certificate of the service.",
    "timeout": "Give the action a longer timeout_s, or try again when the service is quicker.",
    "bad_body": "The address may be wrong, or the service answered with an error page: look at the attempt's request.",
    "poison": "Look at what this run's steps are given: the processes that executed it died.",
}
_by_class = {
    "rate_limited": "The service limits how often it may be called: wait, or let the task run less often.",
    "auth_expired": "Make the connection again.",
    "auth_revoked": "Make the connection again: the service no longer takes its credential.",
    "permission": "Give the credential the permission that this call needs, or use another connection.",
    "not_found": "Check the ids and addresses in this action's parameters.",
    "conflict": "Look at the state of things at the service, then replay the run.",
    "invalid": "Correct this action's parameters, save the task and replay the run with version latest.",
    "transient": "The service is down or cannot be reached: replay the run when it works again.",
    "unknown": "The call may or may not have arrived: look there before you replay or resolve the run.",
    "fatal": "Trying again will not help: change the task, then replay the run with version latest.",
}


def advice(error: Mapping[str, Any]) -> str | None:
    """The advice for an error `{class, code, message}`; None where there is nothing to say."""
    return _by_code.get(error.get("code", "")) or _by_class.get(error.get("class", ""))
