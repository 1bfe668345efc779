"""One entry of a search space: `units = { int = [16, 512], log = true }` and its kin."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.space import Choice, Fixed, FloatRange, IntRange, Kind, Known, Range, contains
from hpo.space.ranges import at_start_value
from hpo.studyfile.reading import Report, is_number, is_whole, shown, suggestion
from hpo.values import Scalar

_FORMS = ("float", "int", "choice", "value")
_KEYS = (*_FORMS, "log", "default", "when", "kind")
_FORM_HINT = "Write a bare value, { float = [low, high] }, { int = [low, high] } or { choice = [...] }."


@dataclass(frozen=True)
class Entry:
    """An entry as read; `when` is still raw, because it may name entries that come later."""

    key: str
    range: Range
    default: Scalar
    kind: Kind
    when: object = None


def read_entry(report: Report, key: str, value: object, entry: Known | None) -> Entry | None:
    """The entry under a dotted key; None with problems noted. `entry`: what the catalogue knows of it, if anything."""
    if not isinstance(value, Mapping):
        if not _is_scalar(value):
            report.add(key, "a value or a range in braces", shown(value), _FORM_HINT)
            return None
        value = {"value": value}
    for name in value:
        if name not in _KEYS:
            report.add(key, "one of " + ", ".join(_KEYS), shown(name), suggestion(name, _KEYS))
    forms = [form for form in _FORMS if form in value]
    if len(forms) != 1:
        got = " and ".join(forms) if forms else "none of them"
        report.add(key, "exactly one of " + ", ".join(_FORMS), got, _FORM_HINT)
        return None
    range_ = _range(report, key, forms[0], value)
    if range_ is None:
        return None
    found = fitted(report, key, range_, entry.domain) if entry else range_
    if found is None:
        return None
    kind = _kind(report, key, value.get("kind"), entry)
    return Entry(key, found, _default(report, key, value.get("default"), found, entry), kind, value.get("when"))


def _is_scalar(value: object) -> bool:
    return isinstance(value, (bool, str)) or is_number(value)


def _range(report: Report, key: str, form: str, value: Mapping[str, Any]) -> Range | None:
    """The range as written, before the catalogue has its say."""
    log = value.get("log", False)
    if not isinstance(log, bool):
        report.add(key, "log = true or false", shown(log), "Write log = true, or leave log out.")
        return None
    if log and form not in ("float", "int"):
        report.add(key, f"no log beside {form}", "log = true", "Leave log out, or write a float or int range.")
        return None
    match form:
        case "value":
            if _is_scalar(value["value"]):
                return Fixed(value["value"])
            report.add(key, "a number, a text, true or false", shown(value["value"]), _FORM_HINT)
            return None
        case "choice":
            return _choice(report, key, value["choice"])
        case _:
            return _numeric(report, key, form, value[form], log)


def _choice(report: Report, key: str, values: object) -> Range | None:
    if not isinstance(values, list) or not values or not all(_is_scalar(v) for v in values):
        report.add(key, "choice = a list of values", shown(values), 'Write { choice = ["a", "b"] }.')
        return None
    for i, value in enumerate(values):
        if any(contains(Fixed(value), other) for other in values[:i]):
            report.add(key, "choices that differ", f"{shown(value)} twice", "Leave the second out.")
            return None
    return Choice(tuple(values)) if len(values) > 1 else Fixed(values[0])


def _numeric(report: Report, key: str, form: str, ends: object, log: bool) -> Range | None:
    whole = form == "int"
    kind, suits = ("whole numbers", is_whole) if whole else ("numbers", is_number)
    if not isinstance(ends, list) or len(ends) != 2 or not all(suits(end) for end in ends):
        remedy = f"Write {{ {form} = [low, high] }}" + (", without points." if whole else ".")
        report.add(key, f"{form} = two {kind}", shown(ends), remedy)
        return None
    low, high = ends
    if low >= high:
        mend = f"Swap them: [{high}, {low}]." if low > high else f"For one value write {low} alone."
        report.add(key, "a low end below the high end", shown(ends), mend)
        return None
    if log and low <= 0:
        start = "above zero" if high <= 0 else "at 1" if whole else f"at {min(1e-6, high / 100):g}"
        remedy = f"Begin {start}, or leave log out: zero has no logarithm."
        report.add(key, "a log range above zero", shown(ends), remedy)
        return None
    return IntRange(low, high, log) if whole else FloatRange(float(low), float(high), log)


def fitted(report: Report, key: str, range_: Range, domain: FloatRange | IntRange | Choice) -> Range | None:
    """The range with the catalogue's number type, or None with a problem where it leaves the catalogue's domain."""
    if isinstance(domain, Choice) and isinstance(range_, (FloatRange, IntRange)):
        remedy = "Write { choice = [...] } with some of them."
        report.add(key, "a choice of " + ", ".join(map(str, domain.values)), "a range of numbers", remedy)
        return None
    if isinstance(domain, IntRange) and isinstance(range_, FloatRange):
        remedy = f"Write {{ int = [{math.ceil(range_.low)}, {math.floor(range_.high)}] }}."
        report.add(key, "whole numbers", "a float range", remedy)
        return None
    match range_:
        case FloatRange(low, high) | IntRange(low, high):
            values: tuple[Scalar, ...] = (low, high)
        case Choice(several):
            values = several
        case Fixed(value):
            values = (value,)
    for value in values:
        if not contains(domain, value) or (isinstance(domain, IntRange) and isinstance(value, float)):
            report.add(key, in_words(domain), shown(value), _nearest(domain, value))
            return None
    if isinstance(domain, FloatRange) and isinstance(range_, Choice):
        return Choice(tuple(float(v) for v in range_.values))
    if isinstance(domain, FloatRange) and isinstance(range_, Fixed):
        return Fixed(float(range_.value))
    return range_


def in_words(domain: FloatRange | IntRange | Choice) -> str:
    """A domain for a message."""
    match domain:
        case FloatRange(low, high):
            return f"numbers from {low:g} to {high:g}"
        case IntRange(low, high):
            return f"whole numbers from {low} to {high}"
        case Choice(values):
            return "one of " + ", ".join(map(str, values))


def _nearest(domain: FloatRange | IntRange | Choice, value: Scalar) -> str:
    if isinstance(domain, Choice):
        return suggestion(value, (str(v) for v in domain.values), "Use one of those.")
    if isinstance(value, (bool, str)):
        return "Write a number, without quotes."
    if isinstance(value, float) and domain.low <= value <= domain.high:
        return f"Write it without a point, e.g. {round(value)}."
    return f"The nearest that makes sense is {min(max(value, domain.low), domain.high):g}."


def _kind(report: Report, key: str, stated: object, entry: Known | None) -> Kind:
    """The catalogue's kind; a custom model's own hyperparameter is structure unless it says otherwise: never wrong."""
    names = [kind.value for kind in Kind]
    if stated is None:
        return entry.kind if entry else Kind.STRUCTURE
    if stated not in names:
        report.add(key, "kind = " + ", ".join(names), shown(stated), suggestion(stated, names))
    elif entry is None:
        return Kind(stated)
    elif stated != entry.kind.value:
        report.add(key, f"the kind {entry.kind.value}", shown(stated), "Leave kind out: this one is known.")
    return entry.kind if entry else Kind.STRUCTURE


def _default(report: Report, key: str, stated: object, range_: Range, entry: Known | None) -> Scalar:
    """The stated default, else the catalogue's where it lies in the range, else the middle of the range."""
    fallback = entry.default if entry and contains(range_, entry.default) else at_start_value(range_)
    if stated is None:
        return fallback
    if not isinstance(stated, (bool, int, float, str)) or not contains(range_, stated):
        got = f"default = {shown(stated)}"
        report.add(key, "a default inside the range", got, f"Use e.g. {shown(fallback)}, or widen the range.")
        return fallback
    if isinstance(range_, FloatRange):
        return float(stated)
    return int(stated) if isinstance(range_, IntRange) else stated
