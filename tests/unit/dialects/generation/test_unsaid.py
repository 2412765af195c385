"""Parameters that a dialect of providers has no word for."""

import pytest

from tollway.core.snapshot import Operation
from tollway.dialects.generation.dialect import Target
from tollway.dialects.generation.losses import Loss, LossKind
from tollway.dialects.generation.request import DialectName, Message, Request, Text
from tollway.dialects.registry import find_dialect

OPENAI = Target(model="gpt-4o", traits=frozenset({"openai_fields"}))
NEWEST_CLAUDE = Target(model="claude-opus-4-7")


@pytest.mark.parametrize(
    ("operation", "target", "fields"),
    [
        ("chat", OPENAI, ["top_k"]),
        ("responses", Target(model="gpt-4o"), ["top_k"]),
        ("messages", NEWEST_CLAUDE, ["top_p", "top_k"]),
        ("converse", NEWEST_CLAUDE, ["top_p", "top_k"]),
    ],
)
@pytest.mark.parametrize(("origin", "kind"), [("gemini", LossKind.HINT), ("chat", LossKind.PARAMETER)])
def test_what_googles_clients_send_with_every_request_is_no_reason_to_refuse_it(
    operation: Operation, target: Target, fields: list[str], origin: DialectName, kind: LossKind
) -> None:
    request = Request(
        origin=origin, model="m", messages=[Message(role="user", parts=[Text(text="Hi")])], top_p=0.95, top_k=64
    )
    losses = find_dialect(operation).render_request(request, target).losses
    assert [loss for loss in losses if loss.field in ("top_p", "top_k")] == [Loss(kind, field) for field in fields]
