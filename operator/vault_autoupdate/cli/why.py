"""All that is known of one resource, on one screen: from its document, its Events and a plan to lines of text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from vault_autoupdate.model.text import clean
from vault_autoupdate.report.mapping_words import MAPPING_STATES

_MOST_EVENTS: Final = 8
_MOST_DRIFT: Final = 15
_WORDS: Final = 1000
_UNITS: Final = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))

__all__ = ["why_lines"]


def why_lines(
    document: Mapping[str, Any], events: Iterable[Mapping[str, Any]], drift: Iterable[str], now: datetime
) -> Iterator[str]:
    """The lines about a resource and its ``events``, in the order in which somebody who looks for a cause reads them.

    Args:
        document: as the API server has it.
        events: about it.
        drift: how each mapping differs ``now``, or why that cannot be told.
    """
    spec, status = _mapping(document.get("spec")), _mapping(document.get("status"))
    yield from _heading(_mapping(document.get("metadata")), spec, status)
    yield from _section("Conditions", (_condition(each, now) for each in _list(status.get("conditions"))))
    yield from _section("Drift, as Azure has it now", _first(drift, _MOST_DRIFT))
    yield from _section("Failures", _failures(status, now))
    yield from _section("Jobs in flight", (_job(each, now) for each in _list(status.get("operations"))))
    yield from _section("Updates of agents", _updates(_mapping(status.get("agentUpdates")), now))
    yield from _section("Agents", _agents(_mapping(status.get("agents"))))
    yield from _section("Automation account", _account(_mapping(status.get("automationAccount"))))
    yield from _section("Events", _events(events, now))


def _heading(metadata: Mapping[str, Any], spec: Mapping[str, Any], status: Mapping[str, Any]) -> Iterator[str]:
    yield f"{_text(metadata.get('namespace'))}/{_text(metadata.get('name'))}: {_text(spec.get('vaultResourceId'))}"
    declared = [f"autoUpdate {_text(spec.get('autoUpdate'))}", f"mode {_text(spec.get('mode')) or 'Enforce'}"]
    declared += ["suspended"] if spec.get("suspend") is True else []
    yield f"  declared: {', '.join(declared)}"
    counts = _mapping(status.get("mappings"))
    if counts:
        words = [f"{_number(counts.get(name)):,} {name}" for name in MAPPING_STATES]
        yield f"  mappings: {_number(counts.get('total')):,}, of which {', '.join(words)}"
    else:
        yield "  not looked at yet: does the operator run, and watch this namespace?"


def _condition(condition: Mapping[str, Any], now: datetime) -> str:
    since = _ago(condition.get("lastTransitionTime"), now)
    words = (condition.get("type"), condition.get("status"), condition.get("reason"))
    told = " ".join(_text(each) for each in words)
    return f"{told}{f', {since}' if since else ''}: {_text(condition.get('message'))}"


def _failures(status: Mapping[str, Any], now: datetime) -> Iterator[str]:
    for failure in _list(status.get("failures")):
        code = " ".join(filter(None, (_text(failure.get("reason")), _text(failure.get("code")))))
        tried = f"tried {_number(failure.get('attempts')):,} times, next try at {_text(failure.get('nextAttemptAt'))}"
        yield f"{_text(failure.get('mapping'))}: {code}, last {_ago(failure.get('lastAttemptAt'), now)}, {tried}"
        yield from _words(failure)
    if omitted := _number(status.get("failuresOmitted")):
        yield f"and {omitted:,} more"


def _job(job: Mapping[str, Any], now: datetime) -> str:
    number = _text(job.get("jobId")) or "not known yet"
    whose = f" of others {_text(job.get('scenario'))}".rstrip() if job.get("adopted") is True else ""
    return f"{_text(job.get('mapping'))}: job{whose} {number}, began {_ago(job.get('startedAt'), now)}"


def _updates(updates: Mapping[str, Any], now: datetime) -> Iterator[str]:
    if not updates:
        return
    yield f"{_text(updates.get('phase'))}: {_text(updates.get('message'))}"
    if opens := _text(_mapping(updates.get("nextWindow")).get("opensAt")):
        yield f"next window at {opens}"
    for update in _list(updates.get("operations")):
        yield f"{_text(update.get('machine'))}: under way, began {_ago(update.get('startedAt'), now)}"
    for failure in _list(updates.get("failures")):
        yield f"{_text(failure.get('machine'))}: failed {_text(failure.get('code'))}"
        yield from _words(failure)


def _agents(agents: Mapping[str, Any]) -> Iterator[str]:
    if not agents:
        return
    yield f"{_number(agents.get('behind')):,} of {_number(agents.get('total')):,} wait for an update"
    for worst in _list(agents.get("worst")):
        yield f"{_text(worst.get('machine'))}: {_text(worst.get('concern'))}"
        yield from _words(worst)


def _account(account: Mapping[str, Any]) -> Iterator[str]:
    for problem in _list(account.get("problems")):
        yield f"{_text(problem.get('reason'))}: {_text(problem.get('message'))}"
    role = _mapping(account.get("role"))
    if role:
        roles = role.get("roles")
        named = ", ".join(map(_text, roles)) if isinstance(roles, list) else ""
        yield f"role of its identity {_text(role.get('principalId'))}: {_text(role.get('standing'))} {named}".rstrip()


def _events(events: Iterable[Mapping[str, Any]], now: datetime) -> Iterator[str]:
    newest = sorted(events, key=_event_time, reverse=True)
    for event in newest[:_MOST_EVENTS]:
        series = _mapping(event.get("series"))
        count = _number(series.get("count")) or _number(event.get("count"))
        told = f", {count:,} times" if count > 1 else ""
        kind = f"{_text(event.get('type'))} {_text(event.get('reason'))}"
        yield f"{_ago(_event_time(event), now)}{told}: {kind}: {_text(event.get('message'))}"


def _event_time(event: Mapping[str, Any]) -> str:
    """When it was last, as its text, which sorts by time."""
    created = _mapping(event.get("metadata")).get("creationTimestamp")
    series = _mapping(event.get("series")).get("lastObservedTime")
    times = (series, event.get("lastTimestamp"), event.get("eventTime"), created)
    return next((str(each) for each in times if each), "")


def _words(entry: Mapping[str, Any]) -> Iterator[str]:
    """What is said about something that failed, below it."""
    for name, mark in (("message", ""), ("possibleCauses", "causes: "), ("recommendedAction", "to do: ")):
        if text := _text(entry.get(name)):
            yield f"  {mark}{text}"
    if activity := _text(entry.get("activityId")):
        yield f"  activity id {activity}"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """The lines below a title; nothing where there are none."""
    listed = list(lines)
    if listed:
        yield ""
        yield title
        yield from (f"  {line}" for line in listed)


def _first(lines: Iterable[str], most: int) -> list[str]:
    listed = list(lines)
    return [*listed[:most], *([f"and {len(listed) - most:,} more"] if len(listed) > most else [])]


def _ago(value: object, now: datetime) -> str:
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        return ""
    left = max(0, int((now - (time if time.tzinfo else time.replace(tzinfo=UTC))).total_seconds()))
    return next((f"{left // length}{unit} ago" for unit, length in _UNITS if left >= length), "now")


def _text(value: object) -> str:
    return clean(value, _WORDS)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
