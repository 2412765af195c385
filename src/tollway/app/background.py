"""What settles responses of the background, with what it needs to know of the ledger."""

from __future__ import annotations

from tollway.accounting.ledger import Ledger
from tollway.app.late import Database
from tollway.gateway.admission import Admission
from tollway.gateway.background import BackgroundBilling
from tollway.gateway.settle import Settler
from tollway.ports.counters import CounterStore
from tollway.ports.ledger import Retention
from tollway.ports.spend import RecordFilter

_RECORDS_LOOKED_AT = 20
_DAY_S = 86_400


def background_billing(
    settler: Settler, counters: CounterStore, ledger: Ledger, database: Database, retention: Retention | None
) -> BackgroundBilling:
    """For all pages of responses."""

    async def is_billed(response_id: str) -> bool:
        await ledger.bring()
        await counters.everyone_flushes()
        matching = RecordFilter(any_id=response_id, with_adjustments=False)
        records = await (await database.opened()).spend.list_records(matching, limit=_RECORDS_LOOKED_AT)
        return any(one.usage.total_tokens for one in records)

    kept_s = None if retention is None else retention.days * _DAY_S
    return BackgroundBilling(Admission(counters, ledger.seed), settler, is_billed, kept_s=kept_s)
