"""Numbers as people read them: sensible digits, intervals in brackets."""

import math
from typing import Any

MISSING = "-"


def number(value: Any, digits: int = 4) -> str:
    """`digits` significant digits without trailing zeros; whole numbers whole; very small and large ones as 1.2e-05."""
    if not present(value):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    value = float(value)
    if not math.isfinite(value):
        return "infinite" if value > 0 else "-infinite"
    if value == 0:
        return "0"
    size = abs(value)
    if value == int(value) and size < 1e6:
        return f"{int(value)}"
    if size < 1e-4 or size >= 1e6:
        mantissa, exponent = f"{value:.{max(digits - 2, 0)}e}".split("e")
        trimmed = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{trimmed}e{exponent}"
    text = f"{value:.{max(digits - 1 - math.floor(math.log10(size)), 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def signed(value: float, digits: int = 4) -> str:
    """As `number`, with a sign even where it is a plus."""
    return f"{'+' if value >= 0 else ''}{number(value, digits)}"


def interval(value: Any, low: Any, high: Any, decimals: int | None = None) -> str:
    """`0.972 [0.953, 0.986]`, with so many decimals; None: as `interval_decimals` says."""
    if not present(value):
        return MISSING
    if not (present(low) and present(high)):
        return number(value)
    decimals = interval_decimals(value, low, high) if decimals is None else decimals
    return f"{float(value):.{decimals}f} [{float(low):.{decimals}f}, {float(high):.{decimals}f}]"


def interval_decimals(value: Any, low: Any, high: Any) -> int:
    """Decimals that give the width two significant digits, and the greatest number three; six at most."""
    if not (present(value) and present(low) and present(high)):
        return 0
    width = abs(float(high) - float(low))
    size = max(abs(float(v)) for v in (value, low, high))
    for_width = 1 - math.floor(math.log10(width)) if width > 0 else 4
    for_size = 2 - math.floor(math.log10(size)) if size > 0 else 0
    return min(max(for_width, for_size, 0), 6)


def duration(seconds: Any) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if not present(seconds):
        return MISSING
    seconds = float(seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def count(amount: int, noun: str) -> str:
    """`1 trial`, `12 trials`."""
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"


def moment(value: Any) -> str:
    """`2026-01-05 12:00`, in the records' UTC."""
    return f"{value:%Y-%m-%d %H:%M}" if present(value) else MISSING


def present(value: Any) -> bool:
    """Whether a cell holds something: not None, NaN or pandas's NA, told apart without importing pandas."""
    return not (value is None or type(value).__name__ in ("NAType", "NaTType") or value != value)
