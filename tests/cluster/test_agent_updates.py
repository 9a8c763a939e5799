"""Updates of agents in windows, as a resource declares them: what the API server takes, refuses and fills in."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from vault_autoupdate.model.resource import VaultAutoUpdate, parse_resource
from workbench.kube.kubectl import Kubectl
from workbench.kube.refusals import NO_DURATIONS, UNCHECKED, problems_of
from workbench.kube.resources import ACCOUNT, manifest

_FIVE_FIELDS = "must have five fields of cron: minute, hour, day of the month, month and weekday, such as 0 22 * * SAT"
_MINUTE = "must have minutes from 0 to 59 in its first field, such as 0, 0,30 or */15"
_HOUR = "must have hours from 0 to 23 in its second field, such as 22, 1,13 or 1-5"
_DAY = "must have days of the month from 1 to 31 in its third field, such as *, 1, 8-14 or L for the last one"
_MONTH = "must have months from 1 to 12 or JAN to DEC in its fourth field, such as *, 6 or JAN-MAR"
_WEEKDAY = (
    "must have weekdays from 0 (Sunday) to 7 or SUN to SAT in its fifth field, such as *, 6, MON-FRI or TUE#2 for the "
    "second Tuesday"
)
_TIME_ZONE = "must be the IANA name of a time zone, such as UTC, Europe/Amsterdam or America/New_York"
_DURATION = "must be a duration of hours, minutes and seconds, such as 90m, 1h30m or 0.5h"
_PATTERN = (
    "must be a pattern of machine names: letters, digits, periods, underscores and hyphens, with * for any text and ? "
    "for any one character"
)
_ENABLED = (
    "spec.agentUpdates: Forbidden: Site Recovery updates the agents by itself when autoUpdate is Enabled: set "
    "autoUpdate to Disabled to have them updated in windows, or remove agentUpdates"
)

_WRONG_TEXTS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "schedule": {
        _FIVE_FIELDS: ("", "daily", "@daily", "0 22 * *", "0 22 * * SAT 2026", "0\t22 * * SAT"),
        _MINUTE: ("60 22 * * *", "-1 22 * * *", "x 22 * * *", "0, 22 * * *", "*/0 22 * * *", "1-60 22 * * *"),
        _HOUR: ("0 24 * * *", "0 22h * * *", "0 1-24 * * *"),
        _DAY: ("0 22 0 * *", "0 22 32 * *", "0 22 MON * *", "0 22 15W * *"),
        _MONTH: ("0 22 * 0 *", "0 22 * 13 *", "0 22 * JANUARY *"),
        _WEEKDAY: ("0 22 * * 8", "0 22 * * SATURDAY", "0 22 * * MON#6", "0 22 * * 6L,8L", "0 22 * * ?"),
    },
    "timeZone": {
        _TIME_ZONE: ("", "europe/amsterdam", "+01:00", "Europe/", "/UTC", "../UTC", "Europe/Den Haag", "A/B/C/D"),
    },
    "duration": {
        _DURATION: NO_DURATIONS,
        "must be at least 15m": ("14m59.9s",),
        "must be at most 24h; to update at any time, let a window of 24h open every day": ("24h0.1s",),
    },
}
"""By field and message: the texts that are refused with it."""
_WRONG_FORMS: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    ({"schedule": None}, "schedule: Required value"),
    ({"duration": None}, "duration: Required value"),
    ({"schedule": 101 * "*"}, "schedule: Too long: may not be more than 100 bytes"),
    ({"timeZone": 65 * "A"}, "timeZone: Too long: may not be more than 64 bytes"),
    ({"duration": 33 * "1"}, "duration: Too long: may not be more than 32 bytes"),
    ({"maxConcurrent": 0}, "maxConcurrent: Invalid value: 0: {} in body should be greater than or equal to 1"),
    ({"maxConcurrent": 51}, "maxConcurrent: Invalid value: 51: {} in body should be less than or equal to 50"),
    ({"maxFailures": 0}, "maxFailures: Invalid value: 0: {} in body should be greater than or equal to 1"),
    ({"maxFailures": 51}, "maxFailures: Invalid value: 51: {} in body should be less than or equal to 50"),
    ({"maxFailures": "1"}, 'maxFailures: Invalid value: "string": {} in body must be of type integer: "string"'),
    ({"order": 21 * ["*"]}, "order: Too many: 21: must have at most 20 items"),
    ({"order": [65 * "x"]}, "order[0]: Too long: may not be more than 64 bytes"),
    ({"pause": "yes"}, 'pause: Invalid value: "string": {} in body must be of type boolean: "string"'),
)
"""What is refused for its form, with the API server's own words; {} stands for the path of the field."""
_RIGHT: Final[tuple[dict[str, Any], ...]] = (
    {"duration": "15m", "maxConcurrent": 1, "maxFailures": 1, "order": []},
    {"duration": "24h", "maxConcurrent": 50, "maxFailures": 50, "order": 20 * ["*"]},
    {"duration": "1h30m", "order": ["Canary-*", "*.test_?", 64 * "x"], "pause": True},
    *(
        {"timeZone": zone}
        for zone in ("UTC", "EST5EDT", "Etc/GMT+5", "America/Port-au-Prince", "America/Argentina/Buenos_Aires")
    ),
    *(
        {"schedule": schedule}
        for schedule in (
            "* * * * *",
            "59 23 31 12 7",
            "00 00 01 01 00",
            "0,30 1-5,22 8-14 JAN-MAR,6 MON-FRI",
            "*/15 */6 */2 */3 */2",
            "5/10 0-23/2 1-31/7 2/3 1-5/2",
            "0 2 L * *",
            "0 2 LW * *",
            "0 1 * * tue#2,thu#4",
            "0 1 * * 5L",
            " 0  2 * * sat ",
        )
    ),
)


def _declared(**changes: Any) -> dict[str, Any]:
    """A manifest with updates in windows; a value of None takes a field of theirs away."""
    fields = {"schedule": "0 22 * * SAT", "duration": "4h"} | changes
    return manifest(
        autoUpdate="Disabled",
        automationAccountResourceId=None,
        agentUpdates={name: value for name, value in fields.items() if value is not None},
    )


def _refused(kubectl: Kubectl, body: dict[str, Any]) -> list[str]:
    result = kubectl("apply", "-f", "-", stdin=json.dumps(body))
    assert (result.code, result.stdout) == (1, "")
    return problems_of(result)


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        pytest.param(field, text, message, id=f"{field}-{text or 'empty'}")
        for field, messages in _WRONG_TEXTS.items()
        for message, texts in messages.items()
        for text in texts
    ],
)
def test_a_wrong_text_is_refused_with_one_message_that_says_what_to_write(
    kubectl: Kubectl, field: str, text: str, message: str
) -> None:
    assert _refused(kubectl, _declared(**{field: text})) == [
        f"spec.agentUpdates.{field}: Invalid value: {json.dumps(text)}: {message}"
    ]


@pytest.mark.parametrize("pattern", ["", "a b", "[ab]*", "vm/1", "é"])
def test_a_wrong_pattern_is_refused_with_its_place(kubectl: Kubectl, pattern: str) -> None:
    assert _refused(kubectl, _declared(order=["canary-*", pattern])) == [
        f'spec.agentUpdates.order[1]: Invalid value: "{pattern}": {_PATTERN}'
    ]


@pytest.mark.parametrize(
    ("changes", "message"), [pytest.param(changes, message, id=str(changes)[:40]) for changes, message in _WRONG_FORMS]
)
def test_a_value_of_a_wrong_form_or_out_of_bounds_is_refused(
    kubectl: Kubectl, changes: dict[str, Any], message: str
) -> None:
    (field,) = changes

    problems = _refused(kubectl, _declared(**changes))

    expected = f"spec.agentUpdates.{message.format(f'spec.agentUpdates.{field}')}"
    assert problems in ([expected], [expected, UNCHECKED])


def test_updates_in_windows_are_refused_where_site_recovery_updates_by_itself(kubectl: Kubectl) -> None:
    body = _declared()
    body["spec"] |= {"autoUpdate": "Enabled", "automationAccountResourceId": ACCOUNT}

    assert _refused(kubectl, body) == [_ENABLED]


def test_switching_to_enabled_is_refused_while_there_are_updates_in_windows(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps(_declared())).check()
    change: dict[str, dict[str, Any]] = {"spec": {"autoUpdate": "Enabled", "automationAccountResourceId": ACCOUNT}}

    assert problems_of(kubectl("patch", "vau", "dr-weu", "--type=merge", "-p", json.dumps(change))) == [_ENABLED]

    change["spec"]["agentUpdates"] = None
    assert kubectl("patch", "vau", "dr-weu", "--type=merge", "-p", json.dumps(change)).code == 0


def test_every_problem_of_them_is_named_at_once(kubectl: Kubectl) -> None:
    wrong = _declared(schedule="60 24 * * SAT", timeZone="here", duration="1m", order=["a b"])
    wrong["spec"] |= {"autoUpdate": "Enabled", "automationAccountResourceId": ACCOUNT}

    problems = _refused(kubectl, wrong)

    assert sorted(problem.split(": ")[0] for problem in problems) == [
        "spec.agentUpdates",
        "spec.agentUpdates.duration",
        "spec.agentUpdates.order[0]",
        "spec.agentUpdates.schedule",
        "spec.agentUpdates.schedule",
        "spec.agentUpdates.timeZone",
    ]


@pytest.mark.parametrize("changes", _RIGHT, ids=lambda changes: str(changes)[:60])
def test_what_can_be_acted_on_is_accepted(kubectl: Kubectl, changes: dict[str, Any]) -> None:
    body = _declared(**changes)

    assert isinstance(parse_resource(body), VaultAutoUpdate)
    assert kubectl("create", "-f", "-", stdin=json.dumps(body)).check().stdout.endswith("/dr-weu created\n")


def test_defaults_of_them_are_filled_in(kubectl: Kubectl) -> None:
    created = kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(_declared())).json()

    assert created["spec"]["agentUpdates"] == {
        "schedule": "0 22 * * SAT",
        "timeZone": "UTC",
        "duration": "4h",
        "maxConcurrent": 10,
        "maxFailures": 1,
        "order": [],
        "pause": False,
    }


def test_nothing_is_filled_in_where_there_are_none(kubectl: Kubectl) -> None:
    created = kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(manifest())).json()

    assert "agentUpdates" not in created["spec"]
