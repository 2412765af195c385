"""Questions to the ledger. Whoever asks sees every call that was answered before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from tollway.accounting.pricing import cost_nanos
from tollway.accounting.tokens import count_chat_request, count_in_thread
from tollway.control.services import Services
from tollway.control.spend.schemas import CostQuestion
from tollway.core.errors import Forbidden, InvalidRequest
from tollway.core.ids import hash_key
from tollway.core.price import Price
from tollway.core.principal import Principal
from tollway.core.record import Record
from tollway.core.usage import Usage
from tollway.dialects.openai.wire import read_usage
from tollway.ports.spend import RecordFilter, SpendSum
from tollway.routing.router import Router

MAX_RECORDS = 10_000
_DEFAULT_DAYS = 30
_MAX_DAYS = 3660
_MICROS = 1_000_000


class Days(msgspec.Struct, frozen=True):
    """UTC days, both included."""

    first: date
    last: date


class SpendService:
    """The ledger, for one request."""

    def __init__(self, services: Services, caller: Principal) -> None:
        self._services = services
        self._caller = caller

    async def list_records(
        self,
        *,
        api_key: str | None,
        user_id: str | None,
        request_id: str | None,
        first: date | None,
        last: date | None,
        includes_adjustments: bool,
    ) -> tuple[list[Record], bool]:
        """Calls, newest first, and whether there are more than can be listed."""
        matching = RecordFilter(
            started_from=_micros(first) if first else None,
            started_before=_micros(last + timedelta(days=1)) if last else None,
            any_id=request_id,
            user_id=user_id,
        )
        await self._services.ledger.flush()
        found: list[Record] = []
        for key_hash in await self._hashes(api_key):
            one_key = msgspec.structs.replace(matching, key_hash=key_hash)
            found += await self._services.spend.list_records(one_key, limit=MAX_RECORDS + 1)
        found = [record for record in found if includes_adjustments or record.kind != "adjustment"]
        found.sort(key=lambda record: (record.started_at, record.record_id), reverse=True)
        return found[:MAX_RECORDS], len(found) > MAX_RECORDS

    async def sum_days(self, days: Days, *, api_key: str | None, user_id: str | None) -> list[SpendSum]:
        """Spend per day by key, model and user."""
        await self._services.ledger.flush()
        sums: list[SpendSum] = []
        for key_hash in await self._hashes(api_key):
            sums += await self._services.spend.sum_by_day(
                days.first,
                days.last,
                by=("key_hash", "model", "user_id"),
                where={
                    **({"key_hash": key_hash} if key_hash is not None else {}),
                    **({"user_id": user_id} if user_id is not None else {}),
                },
            )
        return sums

    async def total(self, days: Days) -> int:
        """Nano-dollars spent in these days."""
        await self._services.ledger.flush()
        return (await self._services.spend.total(days.first, days.last)).spend_nanos

    async def by_key(self, days: Days, *, limit: int) -> list[SpendSum]:
        """Spend per key, dearest first."""
        await self._services.ledger.flush()
        return (await self._services.spend.sum_by(days.first, days.last, by=("key_hash",)))[:limit]

    async def by_model(self, days: Days, *, limit: int) -> list[SpendSum]:
        """Spend per provider and model, dearest first."""
        await self._services.ledger.flush()
        return (await self._services.spend.sum_by(days.first, days.last, by=("provider", "model")))[:limit]

    async def calculate(self, question: CostQuestion) -> int:
        """Nano-dollars a call would cost, or has cost. Raises `InvalidRequest` where nobody knows a price."""
        if question.completion_response is not None:
            answer = question.completion_response
            model = question.model or str(answer.get("model") or "")
            usage = read_usage(msgspec.json.encode({"usage": answer.get("usage")}))
        elif question.messages is not None:
            model = question.model or ""
            body = msgspec.json.encode({"messages": question.messages})
            usage = Usage(input_tokens=await count_in_thread(count_chat_request, body, model=model))
        else:
            raise InvalidRequest("Send 'model' and 'messages', or 'completion_response'.", type="bad_request_error")
        if not model:
            raise InvalidRequest("Missing required parameter: 'model'.", param="model", type="bad_request_error")
        return cost_nanos(self._price(model), usage)

    def _price(self, model: str) -> Price:
        group = Router(self._services.snapshot()).group(model)
        prices = [deployment.price for deployment in group.deployments] if group else []
        provider, slash, name = model.partition("/")
        if not slash:
            provider, name = self._services.prices.provider_of(model) or "", model
        if facts := self._services.prices.find(provider, name):
            prices.append(facts.price)
        known = next((price for price in prices if price.is_known), None)
        if known is None:
            raise InvalidRequest(
                f"Nobody has said what model '{model[:100]}' costs. Set input_cost_per_token and "
                "output_cost_per_token in its litellm_params or model_info.",
                param="model",
                type="bad_request_error",
            )
        return known

    async def _hashes(self, api_key: str | None) -> Sequence[str | None]:
        """Hashes of the key whose records are wanted, its earlier ones included; one None: of all keys."""
        wanted = None
        if api_key:
            wanted = hash_key(api_key) if api_key.startswith("sk-") else api_key
        if not self._caller.is_admin:
            if wanted not in (None, self._caller.key_hash):
                raise Forbidden("You are not allowed to see the spend of another key. Your role=internal_user")
            wanted = self._caller.key_hash
        return [None] if wanted is None else await self._services.keys.find_hashes(wanted)


def read_days(start_date: str | None, end_date: str | None, *, now: float) -> Days:
    """The days between two dates (`YYYY-MM-DD`); without them the last 30. Raises `InvalidRequest`."""
    last = read_date("end_date", end_date) or datetime.fromtimestamp(now, UTC).date()
    first = read_date("start_date", start_date) or last - timedelta(days=_DEFAULT_DAYS)
    if not 0 <= (last - first).days <= _MAX_DAYS:
        raise InvalidRequest(
            f"start_date {first} must not be after end_date {last}, nor more than {_MAX_DAYS} days before it.",
            param="start_date",
            type="bad_request_error",
        )
    return Days(first, last)


def read_date(name: str, text: str | None) -> date | None:
    """A date as `YYYY-MM-DD`; what follows a day (a time) is left out. Raises `InvalidRequest`."""
    if not text:
        return None
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise InvalidRequest(
            f"Invalid {name} {text[:40]!r}. Use YYYY-MM-DD.", param=name, type="bad_request_error"
        ) from None


def _micros(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * _MICROS
