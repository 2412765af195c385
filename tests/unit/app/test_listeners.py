"""The sockets of several workers."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.support.ports import free_port

from tollway.app.listeners import Listeners
from tollway.core.errors import Misconfigured


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    found = Listeners("127.0.0.1", 0)
    yield found
    found.close()


def accepts(one: socket.socket, within_s: float = 1.0) -> bool:
    one.settimeout(within_s)
    try:
        one.accept()[0].close()
    except TimeoutError:
        return False
    return True


def connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=1).close()


def test_port_0_is_one_port_for_all(listeners: Listeners) -> None:
    listeners.open(1)
    ports = {one.getsockname()[1] for number in (0, 1) for one in listeners.of(number)}
    assert ports == {listeners.port} != {0}


def test_connections_are_spread(listeners: Listeners) -> None:
    listeners.open(1)
    for _ in range(40):
        connect(listeners.port)
    assert all(accepts(one) for number in (0, 1) for one in listeners.of(number))


def test_the_share_of_one_that_is_shut_goes_to_the_others(listeners: Listeners) -> None:
    listeners.open(1)
    listeners.shut(1)
    for _ in range(10):
        connect(listeners.port)
    (one,) = listeners.of(0)
    assert all(accepts(one) for _ in range(10))
    listeners.open(1)
    assert listeners.of(1)[0].getsockname() == one.getsockname()


def test_the_last_is_never_shut(listeners: Listeners) -> None:
    listeners.shut(0)
    connect(listeners.port)


def test_a_worker_keeps_its_own_alone(listeners: Listeners) -> None:
    listeners.open(1)
    listeners.open(2)
    listeners.keep(1)
    for _ in range(10):
        connect(listeners.port)
    assert accepts(listeners.of(1)[0])
    with pytest.raises(KeyError):
        listeners.of(0)


def test_closed_nobody_can_connect(listeners: Listeners) -> None:
    port = listeners.port
    listeners.close()
    with pytest.raises(ConnectionRefusedError):
        connect(port)


def test_a_port_that_another_gateway_has_is_not_shared_with_it(listeners: Listeners) -> None:
    with pytest.raises(Misconfigured, match=f"Cannot listen on 127.0.0.1:{listeners.port}"):
        Listeners("127.0.0.1", listeners.port)


def test_a_name_may_stand_for_several_addresses() -> None:
    port = free_port()
    found = Listeners("", port)
    try:
        addresses = [one.getsockname()[:2] for one in found.of(0)]
        assert ("0.0.0.0", port) in addresses
        assert {address[1] for address in addresses} == {port}
    finally:
        found.close()
