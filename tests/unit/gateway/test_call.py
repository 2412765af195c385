"""A call is freed when it is over, without the collector: at some thousand a second its work would show."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from tollway.core.snapshot import Deployment, Endpoint, Operation, Origin, Settings
from tollway.gateway.call import Call
from tollway.gateway.conversation import converse


class _Weak(Call):
    """A call that can be watched."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("spoken", ["chat", "messages"])
def test_nothing_of_a_call_refers_back_to_it(spoken: Operation) -> None:
    endpoint = Endpoint(origin=Origin("http", "h", 80), target="/", headers=())
    deployment = Deployment(id="d", group="m", provider="p", model="m", model_name="p/m", endpoints={spoken: endpoint})
    call = _Weak(operation="chat", path="/", headers={}, client_ip="", settings=Settings())
    call.deployment = deployment
    call.conversation = converse(call, deployment)
    watched: weakref.ref[Any] = weakref.ref(call)
    gc.disable()
    try:
        del call
        assert watched() is None
    finally:
        gc.enable()
