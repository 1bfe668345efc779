"""The ladder of padded widths: networks of nearby widths share a compiled program, the smaller masked inside it."""

_SMALLEST = 16
_EVERY_POWER_UP_TO = 64
"""Up to here rungs double: so narrow a network is bound by the number of operations, not by their arithmetic."""


def padded_width(units: int) -> int:
    """The smallest rung that holds `units`: 16, 32, 64, 96, 128, 192, 256, 384 and so on."""
    rung = _SMALLEST
    while rung < units:
        between = rung * 3 // 2
        if rung >= _EVERY_POWER_UP_TO and between >= units:
            return between
        rung *= 2
    return rung
