"""Answers in the middle form for property tests: what every dialect must carry."""

from __future__ import annotations

from hypothesis import strategies as st

from tollway.core.usage import Usage
from tollway.dialects.generation.answer import Answer, Choice, StopReason
from tollway.dialects.generation.request import Part, Text, Thinking, ToolCall

_ENDS: tuple[StopReason, ...] = ("end", "length")

texts = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
calls = st.builds(
    ToolCall,
    id=st.from_regex(r"call_[a-z0-9]{4}", fullmatch=True),
    name=st.from_regex(r"[a-z]{3,8}", fullmatch=True),
    arguments=st.sampled_from(['{"city":"Bern"}', "{}", '{"a":{"b":[1,2.5,"é"]}}']),
)
usages = st.builds(
    lambda inputs, cached, outputs, thoughts: Usage(
        input_tokens=inputs + cached,
        cache_read_tokens=cached,
        output_tokens=outputs + thoughts,
        reasoning_tokens=thoughts,
    ),
    st.integers(1, 1000),
    st.integers(0, 1000),
    st.integers(1, 1000),
    st.integers(0, 50),
)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """One choice: perhaps thoughts, perhaps a text, perhaps parallel tool calls with ids of their own."""
    parts: list[Part] = []
    if draw(st.booleans()):
        parts.append(Thinking(text=draw(texts)))
    found = draw(st.lists(calls, max_size=3, unique_by=lambda call: call.id))
    if draw(st.booleans()) or not found:
        parts.append(Text(text=draw(texts)))
    parts += found
    stop: StopReason = "tool_use" if found else draw(st.sampled_from(_ENDS))
    choice = Choice(parts=parts, stop=stop)
    return Answer(origin="chat", id="r1", model="m", created=1, choices=[choice], usage=draw(usages))
