"""What `tollway shadow` says where it cannot start, and how it shows what it found."""

from __future__ import annotations

import socket

import pytest
from click.testing import CliRunner

from tollway.cli import main
from tollway.cli.shadow import _show
from tollway.shadow.reading import Reply
from tollway.shadow.report import Report

GATEWAYS = ("--primary", "http://one:4000", "--second", "http://two:4000")


def answer(model: str) -> Reply:
    headers = {"content-type": "application/json", "x-litellm-response-cost": "0.01"}
    return Reply(status=200, headers=headers, body=b'{"model":"%b"}' % model.encode(), seconds=0.25)


@pytest.mark.parametrize("address", ["litellm:4000", "ftp://litellm", "http://user:secret@litellm", "http://l/?a=b"])
def test_an_address_that_is_none(address: str) -> None:
    ran = CliRunner().invoke(main, ["shadow", *GATEWAYS, "--second", address])
    assert ran.exit_code == 2
    assert "write a whole address, such as http://litellm:4000" in ran.output
    assert "secret" not in ran.output


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = CliRunner().invoke(main, ["shadow", *GATEWAYS, "--port", str(port)])
    assert ran.exit_code == 1
    assert f"127.0.0.1:{port} cannot be listened on" in ran.output
    assert "choose another --port" in ran.output


def test_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.add("POST /v1/chat/completions", answer("a"), answer("a"))
    report.add("POST /v1/chat/completions", answer("a"), answer("b"))
    report.leave_out("too long, or broken off")
    _show(report.summary())
    assert capsys.readouterr().out.splitlines() == [
        "2 calls compared, 1 the same, 1 left out: too long, or broken off",
        "  primary: p50 0.250 s, p95 0.250 s, $0.02 by its own header",
        "  second: p50 0.250 s, p95 0.250 s, $0.02 by its own header",
        "COUNT  ROUTE                      DIFFERENCE  WHERE  PRIMARY  SECOND",
        "1      POST /v1/chat/completions  model              a        b",
    ]
