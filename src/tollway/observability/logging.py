"""Logging: one line per event, written off the request path, with secrets cut out before anything is written.

Every record of every logger, uvicorn's included, passes one bounded queue; a thread formats and writes. Redaction is
the formatters' last step, so that arguments, exception texts and tracebacks pass it too.
"""

from __future__ import annotations

import atexit
import json
import logging
import queue
import re
import sys
import time
from logging.handlers import QueueHandler, QueueListener
from typing import Literal, TextIO

from typing_extensions import override

from tollway.core.errors import ClientError, UpstreamError

LogFormat = Literal["text", "json"]

QUEUE_LENGTH = 10_000
"""Records that may wait for the output; more are dropped."""
_SECRETS = re.compile(
    r"""
    (?P<keep>
        \b(?:bearer|basic)\s+
      | \b(?:api|access|secret|master|salt|private)[_-]?key["']?\s*[=:]\s*["']?
      | \b(?:x-goog-api-key|x-api-key|token|password|secret|authorization)["']?\s*[=:]\s*["']?
        (?!bearer\b|basic\b)
      | [?&](?:key|sig|code)=
      | ://[^/\s:@]*:(?=[^/\s@]+@)
    )
    [^\s"'&,;)\]}@]+
  | \bsk-[A-Za-z0-9_-]{6,}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def redact(text: str) -> str:
    """`text` without anything that looks like a credential; the name in front of it stays."""
    return _SECRETS.sub(lambda match: f"{match['keep'] or 'sk-'}***", text)


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO    tollway.app: message`, a traceback below it."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    @override
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class JsonFormatter(TextFormatter):
    """One JSON object per line: time, level, logger, message, and what `extra` added."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "timestamp": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD_ATTRIBUTES}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: _redacted(value) for name, value in fields.items()}, ensure_ascii=False)


def _redacted(value: object) -> object:
    return value if isinstance(value, int | float | None) else redact(str(value))


def drop_expected_traceback(record: logging.LogRecord) -> bool:
    """Handler filter: an error that is not ours to fix needs no traceback; its message says it all."""
    if record.exc_info and isinstance(record.exc_info[1], ClientError | UpstreamError):
        record.exc_info = None
    return True


class LogOutput:
    """The running output: `entry` takes records in and counts those it had to drop.

    `stop` writes what is queued; it is called at exit if nobody does.
    """

    def __init__(self, handler: logging.Handler) -> None:
        records: queue.Queue[logging.LogRecord] = queue.Queue(QUEUE_LENGTH)
        self.entry = _Entry(records)
        self._listener: QueueListener | None = QueueListener(records, handler)
        self._listener.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Writes what is queued and ends the thread. Idempotent."""
        if self._listener is not None:
            self._listener.stop()
            self._listener = None
            atexit.unregister(self.stop)


class _Entry(QueueHandler):
    """Hands records over as they are; drops them, counted, while the output is stuck, rather than hold up a request."""

    def __init__(self, records: queue.Queue[logging.LogRecord]) -> None:
        super().__init__(records)
        self.dropped = 0

    @override
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        record.msg, record.args = record.getMessage(), None  # arguments may change before the thread gets to them
        return record

    @override
    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


def lines_dropped() -> int:
    """How many lines the output in use has thrown away."""
    return sum(handler.dropped for handler in logging.getLogger().handlers if isinstance(handler, _Entry))


def configure_logging(*, format: LogFormat = "text", level: str = "INFO", stream: TextIO | None = None) -> LogOutput:
    """Sends every logger's records to `stream` (standard error), one per line, through one thread.

    `level` applies to Tollway and uvicorn; other libraries are heard from WARNING on. Start uvicorn with
    `log_config=None`, or it installs handlers of its own.
    """
    output = LogOutput(_handler(format, level, stream))
    _install(output.entry, level)
    return output


def log_without_thread(*, format: LogFormat = "text", level: str = "INFO", stream: TextIO | None = None) -> None:
    """The same, written at once by whoever logs: for a process that serves no calls, and that must have no threads."""
    _install(_handler(format, level, stream), level)


def _handler(format: LogFormat, level: str, stream: TextIO | None) -> logging.Handler:
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    if level.upper() != "DEBUG":
        handler.addFilter(drop_expected_traceback)
    return handler


def _install(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel("WARNING")
    for name in ("tollway", "uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(level.upper())
    logging.captureWarnings(capture=True)
