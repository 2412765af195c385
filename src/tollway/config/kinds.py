"""The types a setting can have. Each reads what YAML or an environment variable gives, and refuses the rest.

YAML gives typed values, the environment and `os.environ/NAME` give text: both are read alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import msgspec

from tollway.config.secret import Secret, WhollySecret, with_leaves
from tollway.core.redis import RedisNode
from tollway.core.windows import duration_s

Read = Callable[[Any], Any]
"""Gives the value in the form the program uses; raises ValueError for a value that does not fit."""


class Kind(msgspec.Struct, frozen=True):
    """A type of setting."""

    name: str
    """How people call it, in errors (`expected …`) and in the reference."""
    read: Read
    is_secret: bool = False


class Misfit(ValueError):
    """The value is not of the kind."""


_YES = frozenset(("true", "yes", "on", "1"))
_DAY_S = 86_400
_NO = frozenset(("false", "no", "off", "0"))
_DURATION = re.compile(r"\d+(s|m|h|d|w|mo)|hourly|daily|weekly|monthly")
_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):[0-5]\d")


def _any(value: Any) -> Any:
    return value


def _flag(value: Any) -> bool:
    word = str(value).strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise Misfit


def _lenient_flag(value: Any) -> bool:
    """For `DEBUG`, a name that many programs share: what is not clearly yes means no."""
    return str(value).strip().lower() in _YES


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Misfit
    return value if isinstance(value, Secret) else str(value)


def _secret(value: Any) -> Secret:
    return Secret(_text(value).strip())


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Misfit
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        raise Misfit from None
    if not math.isfinite(number):
        raise Misfit
    return number


def _integer(value: Any) -> int:
    if isinstance(value, str):
        return int(value)
    number = _number(value)
    if not number.is_integer():
        raise Misfit
    return int(value)


def _bounded(read: Read, least: float, most: float = math.inf, *, is_open: bool = False) -> Read:
    def read_bounded(value: Any) -> Any:
        number = read(value)
        if not least <= number <= most or (is_open and number == least):
            raise Misfit
        return number

    return read_bounded


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part for part in map(str.strip, value.split(",")) if part)
    if not isinstance(value, list | tuple):
        raise Misfit
    return tuple(map(_text, value))


def _networks(value: Any) -> tuple[str, ...]:
    return tuple(str(ip_network(one, strict=False)) for one in _texts(value))


def _from_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise Misfit from error


def _mapping(value: Any) -> dict[str, Any]:
    value = _from_json(value)
    if not isinstance(value, dict):
        raise Misfit
    return value


def _secrets(value: Any) -> dict[str, Any]:
    hidden: dict[str, Any] = with_leaves(
        _mapping(value), lambda leaf: WhollySecret(leaf) if isinstance(leaf, str) else leaf
    )
    return hidden


def _list(value: Any) -> list[Any]:
    value = _from_json(value)
    if not isinstance(value, list):
        raise Misfit
    return value


def _nodes(value: Any) -> tuple[RedisNode, ...]:
    """`[{host: h, port: 1}]`, `[[h, 1]]`, `[h:1]`, each also as JSON, or `h:1,h:2`."""
    if isinstance(value, str):
        value = _from_json(value) if value.lstrip().startswith("[") else _texts(value)
    nodes = tuple(map(_node, _list(list(value) if isinstance(value, tuple) else value)))
    if not nodes:
        raise Misfit
    return nodes


def _node(value: Any) -> RedisNode:
    match value:
        case RedisNode():
            return value
        case {"host": host, "port": port, **_more}:
            pass
        case [host, port]:
            pass
        case str():
            host, _, port = value.strip().rpartition(":")
        case _:
            raise Misfit
    name = _text(host).strip().removeprefix("[").removesuffix("]")
    if not name:
        raise Misfit
    return RedisNode(name, PORT.read(port))


def _matching(pattern: re.Pattern[str]) -> Read:
    def read_matching(value: Any) -> str:
        text = _text(value)
        if not pattern.fullmatch(text):
            raise Misfit
        return text

    return read_matching


def _lasting(least_s: float) -> Read:
    def read_lasting(value: Any) -> str:
        text = _text(value)
        if duration_s(text) < least_s:
            raise Misfit
        return text

    return read_lasting


def _timezone(value: Any) -> str:
    from zoneinfo import ZoneInfo  # noqa: PLC0415  (few name one)

    try:
        return ZoneInfo(_text(value)).key
    except (LookupError, OSError) as error:
        raise Misfit from error


def _verification(value: Any) -> bool | str:
    try:
        return _flag(value)
    except Misfit:
        return _text(value)


def choice(*names: str) -> Kind:
    """One of these words, in any case."""

    def read_choice(value: Any) -> str:
        word = _text(value).lower()
        if word not in names:
            raise Misfit
        return word

    return Kind(" or ".join((", ".join(names[:-1]), names[-1])), read_choice)


ANY = Kind("anything", _any)
FLAG = Kind("true or false", _flag)
LENIENT_FLAG = Kind("true or false", _lenient_flag)
TEXT = Kind("text", _text)
SECRET = Kind("text", _secret, is_secret=True)
URL = Kind("a URL", _secret, is_secret=True)
"""Kept as a secret: people write passwords into URLs."""
NUMBER = Kind("a number", _number)
SHARE = Kind("a number above 0, at most 1", _bounded(_number, 0, 1, is_open=True))
WEIGHT = Kind("a number of at least 0", _bounded(_number, 0))
SECONDS = Kind("a number of seconds above 0", _bounded(_number, 0, is_open=True))
SECONDS_OR_NONE = Kind("a number of seconds, 0 or more", _bounded(_number, 0))
INTEGER = Kind("a whole number", _integer)
COUNT = Kind("a whole number of at least 0", _bounded(_integer, 0))
POSITIVE = Kind("a whole number of at least 1", _bounded(_integer, 1))
PORT = Kind("a port number (0 to 65535)", _bounded(_integer, 0, 65535))
HTTP_STATUS = Kind("an HTTP error status (400 to 599)", _bounded(_integer, 400, 599))
MEBIBYTES = Kind("a size in MB above 0", _bounded(_number, 0, is_open=True))
MONEY = Kind("an amount in dollars of at least 0", _bounded(_number, 0))
DURATION = Kind("a duration such as 30s, 15m, 24h, 30d, 4w or 1mo", _matching(_DURATION))
DAYS = Kind("a duration of a day or more such as 30d, 8w or 6mo", _lasting(_DAY_S))
PERIOD = Kind("a duration of a second or more such as 15m, 24h or 1d", _lasting(1))
TIME_OF_DAY = Kind("a time of day such as 00:00", _matching(_TIME_OF_DAY))
TIMEZONE = Kind("a time zone such as UTC or Europe/Berlin", _timezone)
TEXTS = Kind("a list of texts", _texts)
NETWORKS = Kind("a list of IP addresses or ranges such as 10.0.0.0/8", _networks)
MAPPING = Kind("a mapping", _mapping)
SECRETS = Kind("a mapping", _secrets, is_secret=True)
"""All of whose values are secret."""
LIST = Kind("a list", _list)
NODES = Kind("a list of host:port", _nodes)
VERIFICATION = Kind("true, false or the path of a CA bundle", _verification)
