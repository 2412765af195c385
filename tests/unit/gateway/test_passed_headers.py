"""Headers of a body on their way to a provider."""

from __future__ import annotations

from tollway.core.snapshot import Cloud, Deployment, Endpoint, Operation, Origin
from tollway.dialects.identity import NOTHING_PASSED
from tollway.gateway.passed_headers import add_extra


def deployment(operation: Operation, **more: str) -> Deployment:
    endpoint = Endpoint(origin=Origin("https", "x.test", 443), target="/", headers=tuple(more.items()))
    cloud: Cloud = "anthropic" if operation == "messages" else "amazon"
    return Deployment(
        id="d", group="m", provider="x", model="m", model_name="x/m", endpoints={operation: endpoint}, cloud=cloud
    )


def test_they_are_sent_unless_the_deployment_has_its_own() -> None:
    extra = (("X-Flag", "1"), ("x-team", "mine"))
    passed, dropped = add_extra(NOTHING_PASSED, extra, deployment("chat", **{"X-Team": "theirs"}), "chat", {})
    assert passed == (("X-Flag", "1"),)
    assert dropped == ("extra_headers.x-team",)


def test_flags_of_the_body_and_of_the_request_are_one_header() -> None:
    sent = {b"anthropic-beta": b"context-1m-2025-08-07"}
    before = ((("anthropic-beta", "context-1m-2025-08-07"),), ())
    passed, dropped = add_extra(before, (("Anthropic-Beta", "new-flag"),), deployment("messages"), "messages", sent)
    assert passed == (("anthropic-beta", "context-1m-2025-08-07,new-flag"),)
    assert dropped == ()


def test_a_format_without_such_flags_does_not_get_them() -> None:
    passed, dropped = add_extra(NOTHING_PASSED, (("anthropic-beta", "x"),), deployment("converse"), "converse", {})
    assert passed == ()
    assert dropped == ("extra_headers.anthropic-beta",)
