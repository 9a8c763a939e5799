"""What the log and the Events tell: nothing to worry about while all is well, and each refusal once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.cluster.operator.conftest import SiteFactory
from workbench.site import Site, condition, is_ready, vault

_MIX = {"enabled_compliant": 2, "disabled": 3, "enabled_other_account": 1, "unpaired": 1}
_JSON = {"VAULT_AUTOUPDATE_LOG_FORMAT": "json"}


def _lines(site: Site) -> list[dict[str, Any]]:
    return [json.loads(line) for line in site.operator.log.read_text().splitlines()]


def _alarming(site: Site) -> list[dict[str, Any]]:
    return [line for line in _lines(site) if line["level"] not in {"debug", "info"}]


@pytest.mark.timeout(120)
def test_a_healthy_start_with_several_resources_warns_of_nothing(own_site: SiteFactory) -> None:
    first = own_site(_MIX, vault_count=6, settings=_JSON)
    sites = [replace(first, vault=vault(number), prefix=f"{first.prefix}-{number}") for number in range(6)]
    for site in sites:
        site.create()
    first.operator.start().wait_ready()
    for site in sites:
        site.wait_at_rest(within=40)
    assert first.operator.stop() == 0
    first.operator.start().wait_ready()  # and none at the next start, with what this one has written
    for site in sites:
        site.request_and_wait(within=40)

    assert _alarming(first) == []
    assert {line["logger"].partition(".")[0] for line in _lines(first)} == {"vault_autoupdate"}
    events = [event for site in sites for event in site.events()]
    assert {event["reason"] for event in events} == {"Progressing", "Compliant"}
    assert {event["type"] for event in events} == {"Normal"}


def test_a_refusal_is_one_line_with_resource_vault_run_and_request_and_repeats_are_counted(
    own_site: SiteFactory,
) -> None:
    site = own_site(_MIX, settings=_JSON)
    site.operator.start().wait_ready()
    site.sim.control.add_fault("status", status=403, code="AuthorizationFailed", vault=site.vault.name, forever=True)
    site.create()
    site.wait_reason("AuthorizationFailed")
    for _ in range(3):
        site.request_and_wait()

    told = [line for line in _lines(site) if line.get("reason") == "AuthorizationFailed"]
    assert told == _alarming(site)
    (line,) = told
    assert line["level"] == "warning"
    assert (line["resource"], line["vault"]) == (f"{site.namespace}/{site.name()}", site.vault.name)
    assert line["request"].startswith(f"{line['run']}/")
    assert line["request"] in {each["client_request_id"] for each in site.requests()}
    refusals = 'vault_autoupdate_arm_requests_total{code="403",operation="list_mappings"}'
    assert site.operator.metrics()[refusals] >= 4
    (event,) = [event for event in site.events() if event["reason"] == "AuthorizationFailed"]
    assert event["type"] == "Warning"
    assert not is_ready(site.status())


def test_reads_that_are_throttled_say_so_once_a_pause_in_the_log_and_in_the_condition(own_site: SiteFactory) -> None:
    site = own_site(_MIX, settings=_JSON)
    site.operator.start().wait_ready()
    site.sim.control.add_fault("throttle", route="mappings", retry_after=4, times=2)
    before = len(site.writes())
    site.create()
    first = site.wait(lambda status: "left alone until" in condition(status).get("message", ""))
    second = site.wait(
        lambda status: (
            "left alone until" in condition(status)["message"]
            and condition(status)["message"] != condition(first)["message"]
        )
    )
    assert condition(second)["message"].startswith(f"Reading the mappings of vault {site.vault.name}. Azure wants")
    site.wait_ready()

    pauses = [line for line in _lines(site) if line.get("reason") == "Throttled"]
    assert [line["level"] for line in pauses] == ["info", "info"]
    assert all(line["operation"] == "list_mappings" and line["request"] for line in pauses)
    statuses = [event for event in site.writes()[before:] if event.subresource == "status"]
    assert len(statuses) <= 12, "one for each pause, and those of any run"
    assert _alarming(site) == []
