"""Money is a whole number of nano-dollars. Prices are exact rationals; rounding happens once per call, half up."""

from __future__ import annotations

from decimal import Decimal

NANOS_PER_DOLLAR = 1_000_000_000


def nanos_from_dollars(dollars: float | int | str | Decimal) -> int:
    """Whole nano-dollars for an amount in dollars; a float counts as the decimal it prints as. Half up."""
    exact = dollars if isinstance(dollars, Decimal) else Decimal(str(dollars))
    scaled = exact * NANOS_PER_DOLLAR
    return int((scaled + Decimal("0.5")).to_integral_value(rounding="ROUND_FLOOR"))


def dollars_from_nanos(nanos: int) -> float:
    """Dollars as the float the wire contract asks for."""
    return nanos / NANOS_PER_DOLLAR


def divide_half_up(numerator: int, denominator: int) -> int:
    """`numerator / denominator` rounded to the nearest integer, halves up. `denominator` is positive."""
    return (2 * numerator + denominator) // (2 * denominator)
