"""Parameters that a dialect of providers has no word for: what each counts as when it is left out."""

from __future__ import annotations

from tollway.dialects.generation.losses import Loss, LossKind
from tollway.dialects.generation.request import Request

_PLAIN: tuple[tuple[str, str, LossKind], ...] = (
    # attribute, how callers call it, what its loss is
    ("choices", "n", LossKind.PARAMETER),
    ("min_p", "min_p", LossKind.PARAMETER),
    ("logit_bias", "logit_bias", LossKind.PARAMETER),
    ("audio", "audio", LossKind.PARAMETER),
    ("safety_settings", "safetySettings", LossKind.PARAMETER),
    ("allows_parallel_tools", "parallel_tool_calls", LossKind.HINT),
    ("verbosity", "verbosity", LossKind.HINT),
    ("prediction", "prediction", LossKind.HINT),
    ("service_tier", "service_tier", LossKind.HINT),
    ("user", "user", LossKind.HINT),
    ("store", "store", LossKind.HINT),
    ("metadata", "metadata", LossKind.HINT),
    ("prompt_cache_key", "prompt_cache_key", LossKind.HINT),
    ("cache", "cache_control", LossKind.CACHE_HINT),
)
_USUAL = {"choices": 1, "allows_parallel_tools": True}
"""Values that ask for nothing special. Agents that want one tool at a time get several rather than a refusal: they
must cope with models that do as they like anyway."""


def sampling_loss(request: Request) -> LossKind:
    """What leaving out `top_k` or `top_p` counts as. Google's own clients, Gemini CLI among them, send both with every
    request, whether or not anybody asked for them."""
    return LossKind.HINT if request.origin == "gemini" else LossKind.PARAMETER


def unsaid(request: Request, said: frozenset[str] = frozenset()) -> list[Loss]:
    """The losses of a dialect that knows only those of these attributes that are in `said`."""
    losses = [
        Loss(kind, field)
        for attribute, field, kind in _PLAIN
        if attribute not in said and getattr(request, attribute) not in (None, _USUAL.get(attribute))
    ]
    if request.modalities is not None and request.modalities != ["text"]:
        losses.append(Loss(LossKind.PARAMETER, "modalities"))
    return losses
