"""The words of a CronJob's schedule, as the API server reads them (the standard parser of robfig/cron)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_DURATION = re.compile(r"[-+]?(0|((\d+\.?\d*|\.\d+)(h|m|s|ms|us|\u00b5s|ns))+)")


@dataclass(frozen=True)
class _Field:
    lowest: int
    highest: int
    names: tuple[str, ...] = ()


_FIELDS = (_Field(0, 59), _Field(0, 23), _Field(1, 31), _Field(1, 12, _MONTHS), _Field(0, 6, _DAYS))


class _WrongError(Exception):
    pass


def problem(schedule: str) -> str:
    """What is wrong with a schedule, or nothing."""
    if "TZ" in schedule:
        return "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
    if schedule.startswith("@"):
        return _problem_of_descriptor(schedule)
    words = schedule.split()
    if not words:
        return "empty spec string"
    if len(words) != len(_FIELDS):
        return f"expected exactly {len(_FIELDS)} fields, found {len(words)}: [{' '.join(words)}]"
    try:
        for word, field in zip(words, _FIELDS, strict=True):
            for part in filter(None, word.split(",")):
                _check(part, field)
    except _WrongError as error:
        return str(error)
    return ""


def _problem_of_descriptor(schedule: str) -> str:
    every = schedule.removeprefix("@every ")
    if every != schedule:
        why = f'failed to parse duration {schedule}: time: invalid duration "{every}"'
        return "" if _DURATION.fullmatch(every) else why
    return "" if schedule in _DESCRIPTORS else f"unrecognized descriptor: {schedule}"


def _check(part: str, field: _Field) -> None:
    """One of ``*``, ``?``, ``5``, ``1-5``, each perhaps with ``/STEP``."""
    span, *steps = part.split("/")
    first, *others = span.split("-")
    start, end = field.lowest, field.highest
    if first not in ("*", "?"):
        if len(others) > 1:
            raise _WrongError(f"too many hyphens: {part}")
        start = _value(first, field)
        end = _value(others[0], field) if others else field.highest if steps else start
    if len(steps) > 1:
        raise _WrongError(f"too many slashes: {part}")
    step = _number(steps[0]) if steps else 1
    if start < field.lowest:
        raise _WrongError(f"beginning of range ({start}) below minimum ({field.lowest}): {part}")
    if end > field.highest:
        raise _WrongError(f"end of range ({end}) above maximum ({field.highest}): {part}")
    if start > end:
        raise _WrongError(f"beginning of range ({start}) beyond end of range ({end}): {part}")
    if not step:
        raise _WrongError(f"step of range should be a positive number: {part}")


def _value(word: str, field: _Field) -> int:
    if word.lower() in field.names:
        return field.names.index(word.lower()) + field.lowest
    return _number(word)


def _number(word: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", word):
        raise _WrongError(f'failed to parse int from {word}: strconv.Atoi: parsing "{word}": invalid syntax')
    number = int(word)
    if number < 0:
        raise _WrongError(f"negative number ({number}) not allowed: {word}")
    return number


def time_zone_problem(name: str) -> str:
    """Of ``timeZone``: a name of the time zone database."""
    if not name:
        return "timeZone must be nil or non-empty string"
    if name.lower() == "local":
        return "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
    return ""  # whether there is such a zone only a file tells
