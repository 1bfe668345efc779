"""Time as the records hold it."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The moment as naive UTC, as Optuna's tables hold it and so ours."""
    return datetime.now(UTC).replace(tzinfo=None)
