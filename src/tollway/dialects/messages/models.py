"""What Anthropic's models differ in, by their names: how they are told to think, and what they refuse.

Sources: https://platform.claude.com/docs/en/build-with-claude/effort, /adaptive-thinking and the migration guides
(checked 2026-11-26). Names come with prefixes and suffixes of clouds: `anthropic.claude-opus-4-7-v1:0`.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from tollway.dialects.generation.request import Effort


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """One model."""

    efforts: tuple[Effort, ...] = ()
    """What `output_config.effort` may say, least first; empty: it is not known."""
    is_adaptive: bool = False
    """Takes `thinking: adaptive`."""
    takes_budget: bool = True
    """Takes `thinking: enabled` with a budget."""
    takes_sampling: bool = True
    """Takes a temperature, `top_p` and `top_k` of the caller's."""
    thinks_unasked: bool = False
    """Thinks unless it is told not to."""
    can_rest: bool = True
    """Takes `thinking: disabled`."""
    takes_late_instructions: bool = False
    """Takes messages of the role `system` amid the conversation."""


_THREE: tuple[Effort, ...] = ("low", "medium", "high")
_ALL: tuple[Effort, ...] = ("low", "medium", "high", "xhigh", "max")

_ALWAYS_THINKING = Traits(
    efforts=_ALL,
    is_adaptive=True,
    takes_budget=False,
    takes_sampling=False,
    thinks_unasked=True,
    can_rest=False,
    takes_late_instructions=True,
)
_TABLE: tuple[tuple[re.Pattern[str], Traits], ...] = (
    (re.compile(r"claude-(fable|mythos)|claude-[a-z]+-5-[5-9](?!\d)|claude-[a-z]+-[6-9](?!\d)"), _ALWAYS_THINKING),
    (
        re.compile(r"claude-[a-z]+-5(?!\d)"),
        Traits(
            efforts=_ALL,
            is_adaptive=True,
            takes_budget=False,
            takes_sampling=False,
            thinks_unasked=True,
            takes_late_instructions=True,
        ),
    ),
    (
        re.compile(r"claude-[a-z]+-4-[89](?!\d)"),
        Traits(efforts=_ALL, is_adaptive=True, takes_budget=False, takes_sampling=False, takes_late_instructions=True),
    ),
    (
        re.compile(r"claude-[a-z]+-4-7(?!\d)"),
        Traits(efforts=_ALL, is_adaptive=True, takes_budget=False, takes_sampling=False),
    ),
    (re.compile(r"claude-[a-z]+-4-6(?!\d)"), Traits(efforts=(*_THREE, "max"), is_adaptive=True)),
    (re.compile(r"claude-opus-4-5(?!\d)"), Traits(efforts=_THREE)),
)
_OLDER = Traits()


def traits_of(model: str) -> Traits:
    """What is known of a model; one that nothing is known of is taken for an older one."""
    name = model.lower().replace(".", "-")
    return next((traits for pattern, traits in _TABLE if pattern.search(name)), _OLDER)


@lru_cache(256)
def refuses_late_instructions(model: str) -> bool:
    """Whether it is one of Anthropic's that answers 400 to the role `system` among the messages. Of others that speak
    the format nothing is known."""
    return "claude" in model.lower() and not traits_of(model).takes_late_instructions


def nearest_effort(effort: Effort, traits: Traits) -> Effort:
    """The effort the model knows that comes closest, rather less than more."""
    order: tuple[Effort, ...] = ("none", "minimal", *_ALL)
    least = traits.efforts[0]
    return max(
        (known for known in traits.efforts if order.index(known) <= order.index(effort)), key=order.index, default=least
    )
