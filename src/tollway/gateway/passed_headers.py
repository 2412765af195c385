"""Headers of a caller on their way to a provider: those its format has, and those it put into the body."""

from __future__ import annotations

from collections.abc import Mapping

from tollway.core.snapshot import Deployment, Operation
from tollway.dialects.identity import Passed
from tollway.dialects.registry import find_identity

_BETA = "anthropic-beta"


def add_extra(
    passed: Passed,
    extra: tuple[tuple[str, str], ...],
    deployment: Deployment,
    operation: Operation,
    headers: Mapping[bytes, bytes],
) -> Passed:
    """`passed` with the `extra_headers` of a body, and what of them is left out.

    Headers of the deployment's own stay as its operator wrote them. Flags of Anthropic's beta are filtered for the
    cloud that serves the model, together with those of the request's own `headers`; no other format has them.
    """
    kept, dropped = list(passed[0]), list(passed[1])
    own = (
        {name.lower() for name, _ in deployment.endpoints[operation].headers}
        if operation in deployment.endpoints
        else set()
    )
    for name, value in extra:
        lower = name.lower()
        if lower in own or (lower == _BETA and operation != "messages"):
            dropped.append(f"extra_headers.{lower}")
        elif lower == _BETA:
            sent = headers.get(_BETA.encode(), b"")
            flags = b",".join(filter(None, (sent, value.encode("latin-1"))))
            kept_flags, lost_flags = find_identity("messages").pass_headers({_BETA.encode(): flags}, deployment)
            kept = [each for each in kept if each[0] != _BETA] + list(kept_flags)
            dropped = [each for each in dropped if each not in lost_flags] + list(lost_flags)
        else:
            kept.append((name, value))
    return tuple(kept), tuple(dropped)
