"""A call that nobody made, to see whether a destination takes it."""

from __future__ import annotations

from tollway.callbacks.payload import Heard, event_of
from tollway.core.ids import new_record_id
from tollway.core.principal import Principal
from tollway.core.record import Record
from tollway.ports.callbacks import Event


def sample_event(now: float) -> Event:
    """A good call of no cost that says it is a test. `now`: epoch seconds."""
    started_at = int(now * 1e6)
    id_ = new_record_id(started_at // 1000)
    record = Record(
        record_id=id_,
        kind="call",
        started_at=started_at,
        ended_at=started_at + 1000,
        call_id=id_,
        call_type="acompletion",
        route="/health/services",
        model="test",
        model_group="test",
        tags=("tollway-test",),
    )
    body = b'{"messages":[{"role":"user","content":"This is a test."}]}'
    answer = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"It has arrived."}}]}'
    heard = Heard(
        record=record,
        operation="chat",
        principal=Principal(key_hash=""),
        spent_nanos=None,
        body=body,
        answer=answer,
        redacts_messages=False,
        redacts_key_info=False,
        left_out=(),
    )
    return event_of(heard, redacts=False)
