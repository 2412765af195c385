"""Deployments that are avoided because their last probe failed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.clock import FakeClock
from tests.support.deployments import chat, deployment, group

from tollway.core.errors import Unauthenticated
from tollway.core.health import Checked
from tollway.core.routing import Probed, Routing
from tollway.routing.balancer import Balancer

NOW = 1_000_000.0
FOLLOWED = Routing(probed=Probed(stale_after_s=60))


def checked(model_id: str, *, ago_s: float = 1, **more: Any) -> Checked:
    failed = {"is_healthy": False, "status_code": 500, "error_class": "InternalServerError"}
    common = {"health_check_id": "c", "model_name": "g", "checked_at": int((NOW - ago_s) * 1e6)}
    return Checked(model_id=model_id, **{**common, **failed, **more})


def asked(*results: Checked, routing: Routing = FOLLOWED, ids: str = "ab", **more: Any) -> set[str]:
    balancer = Balancer(FakeClock(NOW), lambda deployment, cooldown: None)
    balancer.probes.replace(results)
    one = group("g", *(deployment(name, **more) for name in ids))
    return {balancer.pick(one, routing, chat()).id for _ in range(60)}


def test_whoever_failed_the_last_probe_is_avoided() -> None:
    assert asked(checked("a")) == {"b"}
    assert asked(checked("a", is_healthy=True)) == {"a", "b"}
    assert asked(checked("a"), routing=Routing()) == {"a", "b"}, "unless probes are not followed"


def test_where_all_have_failed_all_are_asked() -> None:
    assert asked(checked("a"), checked("b")) == {"a", "b"}
    assert asked(checked("a"), ids="a") == {"a"}


def test_old_probes_say_nothing() -> None:
    assert asked(checked("a", ago_s=59)) == {"b"}
    assert asked(checked("a", ago_s=61)) == {"a", "b"}


@pytest.mark.parametrize(("status", "is_avoided"), [(408, False), (429, False), (500, True), (401, True)])
def test_troubles_that_pass_can_be_overlooked(status: int, is_avoided: bool) -> None:
    lenient = Routing(probed=Probed(ignores_passing=True))
    assert (asked(checked("a", status_code=status), routing=lenient) == {"b"}) is is_avoided
    assert asked(checked("a", status_code=status)) == {"b"}


def test_tags_count_for_those_too_who_are_asked_for_want_of_better() -> None:
    balancer = Balancer(FakeClock(NOW), lambda deployment, cooldown: None)
    balancer.probes.replace([checked("a"), checked("b")])
    one = group("g", deployment("a", tags=("free",)), deployment("b", tags=("paid",)))
    routing = Routing(probed=Probed(), filters_by_tag=True)
    assert {balancer.pick(one, routing, chat(tags=("paid",))).id for _ in range(20)} == {"b"}
    with pytest.raises(Unauthenticated):
        balancer.pick(one, routing, chat(tags=("other",)))
