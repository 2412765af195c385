import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tollway.core.errors import UpstreamError
from tollway.observability.logging import QUEUE_LENGTH, LogFormat, configure_logging, lines_dropped, redact


@pytest.fixture(autouse=True)
def _leave_logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in ("tollway", "uvicorn", "uvicorn.error", "uvicorn.access"))]
    before = [(logger, logger.level, list(logger.handlers), logger.propagate) for logger in loggers]
    yield
    logging.captureWarnings(capture=False)
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers, logger.propagate = handlers, propagate


@contextmanager
def logged(*, format: LogFormat = "text", level: str = "INFO") -> Iterator[list[str]]:
    """The lines written by the time the block ends."""
    stream, lines = io.StringIO(), list[str]()
    output = configure_logging(format=format, level=level, stream=stream)
    try:
        yield lines
    finally:
        output.stop()
        lines += stream.getvalue().splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key sk-abcDEF_123-456 was used", "key sk-*** was used"),
        ("Authorization: Bearer abc.def.ghi", "Authorization: Bearer ***"),
        ("authorization=Basic dXNlcjpwYXNz,", "authorization=Basic ***,"),
        ("api_key=topsecret&x=1", "api_key=***&x=1"),
        ("{'api_key': 'topsecret', 'a': 1}", "{'api_key': '***', 'a': 1}"),
        ('{"x-api-key":"topsecret"}', '{"x-api-key":"***"}'),
        ("GET /v1beta/models?key=AIzaSecret&alt=sse", "GET /v1beta/models?key=***&alt=sse"),
        ("postgresql://tollway:hunter2@db:5432/x", "postgresql://tollway:***@db:5432/x"),
        ("password=hunter2", "password=***"),
        ("sk-...wxyz", "sk-...wxyz"),
        ("max_tokens=100 total_tokens: 5", "max_tokens=100 total_tokens: 5"),
        ("http://127.0.0.1:4000/v1?monkey=1", "http://127.0.0.1:4000/v1?monkey=1"),
    ],
)
def test_credentials_are_cut_out_and_nothing_else(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_text_is_one_line_with_time_level_logger_and_message() -> None:
    with logged() as lines:
        logging.getLogger("tollway.app").info("listening on %s", "127.0.0.1")
    [line] = lines
    time, level, rest = line.split(maxsplit=2)
    assert (len(time), level, rest) == (len("2026-01-31T12:00:00.000Z"), "INFO", "tollway.app: listening on 127.0.0.1")


def test_json_is_one_object_per_line_with_what_extra_added() -> None:
    with logged(format="json") as lines:
        logging.getLogger("tollway.app").warning("hm", extra={"call_id": "c1", "api_base": "http://x?key=secret"})
    [entry] = [json.loads(line) for line in lines]
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "level": "WARNING",
        "logger": "tollway.app",
        "message": "hm",
        "call_id": "c1",
        "api_base": "http://x?key=***",
    }


@pytest.mark.parametrize("format", ["text", "json"])
def test_secrets_in_arguments_and_tracebacks_are_cut_out(format: LogFormat) -> None:
    with logged(format=format) as lines:
        try:
            raise ValueError('bad key "sk-verysecret123"')
        except ValueError:
            logging.getLogger("tollway").exception("refused %s", "sk-verysecret123")
    assert "ValueError" in "".join(lines)
    assert "verysecret" not in "".join(lines)


@pytest.mark.parametrize(("level", "has_traceback"), [("INFO", False), ("DEBUG", True)])
def test_expected_errors_bring_a_traceback_only_at_debug(level: str, has_traceback: bool) -> None:
    with logged(level=level) as lines:
        try:
            raise UpstreamError("connection refused")
        except UpstreamError:
            logging.getLogger("tollway").exception("upstream failed")
    assert any("Traceback" in line for line in lines) is has_traceback


def test_surprises_always_bring_a_traceback() -> None:
    with logged() as lines:
        try:
            raise RuntimeError("surprise")
        except RuntimeError:
            logging.getLogger("tollway").exception("failed")
    assert any("Traceback" in line for line in lines)


def test_the_message_is_what_the_arguments_were_when_it_was_logged() -> None:
    items = [1]
    with logged() as lines:
        logging.getLogger("tollway").info("items %s", items)
        items.append(2)
    assert lines[0].endswith("items [1]")


def test_the_server_writes_through_the_same_output() -> None:
    logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())
    with logged() as lines:
        logging.getLogger("uvicorn.error").info("Started server process")
        logging.getLogger("asyncio").info("libraries are heard from warnings on")
    assert [line.split(maxsplit=2)[2] for line in lines] == ["uvicorn.error: Started server process"]


def test_a_stuck_output_drops_lines_and_counts_them_instead_of_waiting() -> None:
    output = configure_logging(stream=io.StringIO())
    output.stop()
    for number in range(QUEUE_LENGTH + 3):
        logging.getLogger("tollway").info("line %s", number)
    assert output.entry.dropped == 3
    assert lines_dropped() == 3


def test_stopping_twice_is_harmless() -> None:
    output = configure_logging(stream=io.StringIO())
    output.stop()
    output.stop()
