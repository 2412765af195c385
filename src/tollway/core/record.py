"""The ledger record: one per settled call, adjustment or import. Spend is always a sum of these."""

from __future__ import annotations

from typing import Literal

import msgspec

from tollway.core.usage import NO_USAGE, Usage

RecordKind = Literal["call", "adjustment", "import"]

MASTER_KEY_ID = "litellm_proxy_master_key"
"""Stands for the master key wherever a key hash is shown (wire contract)."""


class Charge(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The spend window of one entity that a record counts in."""

    scope_kind: str
    scope_id: str
    window_start: int
    """Epoch seconds; 0 for a budget that never resets."""


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """One line of the ledger. Times are epoch microseconds, money is nano-dollars.

    The order of fields is the journal's wire format (msgpack array): append only, always with a default.
    """

    record_id: str
    """UUIDv7; with `started_at` the ledger's key."""
    kind: RecordKind
    started_at: int
    ended_at: int
    first_token_at: int = 0
    """0 where nothing was streamed."""
    call_id: str = ""
    response_id: str = ""
    call_type: str = ""
    """The contract's name of the operation: `acompletion`, `aembedding`, …"""
    route: str = ""
    is_success: bool = True
    is_stream: bool = False
    key_hash: str = ""
    key_alias: str = ""
    user_id: str = ""
    team_id: str = ""
    organization_id: str = ""
    end_user: str = ""
    model: str = ""
    """As the provider calls it."""
    model_group: str = ""
    model_id: str = ""
    provider: str = ""
    api_base: str = ""
    usage: Usage = NO_USAGE
    cost_nanos: int = 0
    is_priced: bool = True
    """False: nobody said what this model costs; the cost of 0 is not a price."""
    tags: tuple[str, ...] = ()
    session_id: str = ""
    trace_id: str = ""
    client_ip: str = ""
    user_agent: str = ""
    metadata: bytes = b""
    """The caller's `metadata` object as JSON, empty if none."""
    status_code: int = 200
    error_type: str = ""
    error_class: str = ""
    error_message: str = ""
    charges: tuple[Charge, ...] = ()
    overhead_us: int = 0
    project_id: str = ""
    cache_key: str = ""
    """Under which the answer is kept, or was found; empty: nothing was looked for."""
    is_cached: bool = False
    """It was found: no provider was asked, and nothing is owed."""
    saved_nanos: int = 0
    """What the answer cost when it was made."""
    attempts: str = ""
    """JSON: a list of the attempts that failed and, with `skipped`, of deployments that were passed over; or empty."""
