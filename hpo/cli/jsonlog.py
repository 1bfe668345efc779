"""What a running study tells, for programs that collect logs: one JSON object a line."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

import click

from hpo.run.events import Event, Joined


class JsonLog:
    """A line an event: `time` (UTC, ISO 8601), `event`, `study`, `worker_id` once it is known, and the event's fields.

    Numbers that are not finite, which JSON has no words for, are null.
    """

    def __init__(self, study: str) -> None:
        self._known = {"study": study}

    def __call__(self, event: Event) -> None:
        if isinstance(event, Joined):
            self._known["worker_id"] = event.worker_id
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"time": moment, "event": name(type(event)), **self._known, **_plain(event)}
        click.echo(json.dumps(entry, ensure_ascii=False, allow_nan=False))

    def __enter__(self) -> "JsonLog":
        return self

    def __exit__(self, *_: object) -> None:
        return


def name(kind: type) -> str:
    """`stage_started` for `StageStarted`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):  # NumPy's, without loading it
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
