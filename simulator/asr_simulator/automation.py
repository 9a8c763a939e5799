"""The calls of Automation: from a route to an answer.

The forms of all bodies are those of published examples, at version 2024-10-23; identities are of the published model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import quote

from asr_simulator.accounts import SYSTEM_ASSIGNED, Account, Link, Run
from asr_simulator.arm_errors import Answer, ArmError, dumps, method_not_allowed, resource_not_found
from asr_simulator.calls import Call, page_answer
from asr_simulator.clock import automation_time
from asr_simulator.routes import RouteKind
from asr_simulator.schedules import BareError, patched, put
from asr_simulator.world import World

_ACCOUNT_TYPE = "Microsoft.Automation/AutomationAccounts"
_OF_RUNBOOK = re.compile(r"properties/runbook/name eq '([^']*)'")

__all__ = ["Automation", "account_document", "job_schedule_document", "run_document"]


class Automation:
    """Answers calls from the accounts of a `World`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._handlers: dict[RouteKind, Callable[[Call, Account], Answer]] = {
            RouteKind.AUTOMATION_ACCOUNT: self._get_account,
            RouteKind.SCHEDULES: self._schedules,
            RouteKind.JOB_SCHEDULES: self._job_schedules,
            RouteKind.AUTOMATION_JOBS: self._list_jobs,
            RouteKind.USAGES: self._list_usages,
        }

    def answer(self, call: Call) -> Answer:
        """Answer a call; raises `ArmError` for a refusal."""
        if call.route.kind is RouteKind.AUTOMATION_ACCOUNTS:
            return self._list_accounts(call)
        account = self._world.find_account(call.route)
        if account is None:
            resource = f"Microsoft.Automation/automationAccounts/{call.route.account}"
            raise resource_not_found(resource, call.route.resource_group)
        self._world.settle()  # a mapping's job that has ended may have changed what is here
        self._world.schedules.run(account)
        return self._handlers[call.route.kind](call, account)

    def _list_accounts(self, call: Call) -> Answer:
        """List the accounts of a subscription: without their state, which only the answer about one has (published)."""
        tenant = self._world.scenario.identity.tenant_id
        documents = [
            account_document(each, self._created(), tenant)
            for each in self._world.accounts
            if each.subscription == call.route.subscription.lower()
        ]
        for document in documents:
            del document["properties"]["state"]
        return page_answer(
            call,
            [dumps(document) for document in documents],
            None,
            beginning="",
            explicit_null=self._world.scenario.explicit_null_next_link,
        )

    def _get_account(self, _call: Call, account: Account) -> Answer:
        return Answer(200, dumps(account_document(account, self._created(), self._world.scenario.identity.tenant_id)))

    def _schedules(self, call: Call, account: Account) -> Answer:
        if call.method != "GET":
            return self._change_schedule(call, account)
        schedules, name = self._world.schedules, call.route.artifact
        asked = filter(None, [schedules.find(account, name)]) if name else schedules.of(account)
        documents = (each.document(account.id, self._now()) for each in asked)
        return self._one_or_page(call, documents, lambda document: str(document["name"]))

    def _change_schedule(self, call: Call, account: Account) -> Answer:
        """Answer PUT, PATCH and DELETE. The answer has the old ``lastModifiedTime`` (seen)."""
        schedules, name = self._world.schedules, call.route.artifact
        existing = schedules.find(account, name)
        if not name:
            raise method_not_allowed(call.method)
        if existing is None and call.method != "PUT":
            raise BareError(404, "NotFound", "")
        if call.method == "DELETE":
            account.deleted.add(name.lower())
            return Answer(200)
        now = self._now()
        if call.method == "PATCH" and existing is not None:
            changed = patched(existing, call.body, now)
        else:
            changed = put(existing, name, call.body, schedules.behaviour, now)
        schedules.store(account, changed)
        before = existing.modified if existing else changed.modified
        return Answer(200 if existing else 201, dumps(changed.document(account.id, now, before)))

    def _job_schedules(self, call: Call, account: Account) -> Answer:
        links = self._world.accounts.links(account, self._world.vaults.values())
        documents = (job_schedule_document(account, link) for link in links)
        return self._one_or_page(call, documents, lambda document: str(document["properties"]["jobScheduleId"]))

    def _list_jobs(self, call: Call, account: Account) -> Answer:
        """List jobs, by runbook if the filter asks for that; any other filter is taken but does nothing.

        That one is the text that Azure PowerShell sends. No field of filters is published.
        """
        wanted = _OF_RUNBOOK.fullmatch(call.query.get("$filter", ""))
        name = wanted and wanted[1].lower()
        runs = (run for run in account.runs if name in (None, run.runbook.lower()))
        return self._page(call, (run_document(account, run) for run in runs))

    def _list_usages(self, _call: Call, account: Account) -> Answer:
        """List what is used up; that the subscription's is the sum of its accounts' is inferred."""
        of_subscription = [each for each in self._world.accounts if each.subscription == account.subscription]
        minutes = {
            "AccountUsage": account.minutes_used,
            "SubscriptionUsage": sum(each.minutes_used for each in of_subscription),
        }
        return Answer(200, dumps({"value": [_usage(name, used, account) for name, used in minutes.items()]}))

    def _one_or_page(
        self, call: Call, documents: Iterable[dict[str, Any]], name_of: Callable[[dict[str, Any]], str]
    ) -> Answer:
        wanted = call.route.artifact
        if not wanted:
            return self._page(call, documents)
        for document in documents:
            if name_of(document).lower() == wanted.lower():
                return Answer(200, dumps(document))
        raise BareError(404, "NotFound", "")  # seen of a schedule

    def _page(self, call: Call, documents: Iterable[dict[str, Any]]) -> Answer:
        """Cut a page; the parameter ``$skip`` is that of a published example."""
        text = call.query.get("$skip", "0")
        if not text.isascii() or not text.isdigit():
            raise ArmError(400, "BadRequest", "The $skip is not a whole number.")
        begin, size = int(text), self._world.scenario.automation_page_size
        page = list(islice(documents, begin, begin + size + 1))
        carried = f"$filter={quote(call.query['$filter'], safe='')}&" if "$filter" in call.query else ""
        return page_answer(
            call,
            [dumps(document) for document in page[:size]],
            f"{carried}$skip={begin + size}" if len(page) > size else None,
            beginning=f"{carried}$skip=0",
            explicit_null=self._world.scenario.explicit_null_next_link,
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._world.clock.wall(), UTC)

    def _created(self) -> datetime:
        return datetime.fromtimestamp(self._world.clock.wall_at(0), UTC) - timedelta(days=1)


def account_document(account: Account, created: datetime, tenant: str) -> dict[str, Any]:
    """Build the account itself."""
    identity: dict[str, Any] = {"type": account.identity}
    if account.identity in SYSTEM_ASSIGNED:
        identity |= {"principalId": account.principal, "tenantId": tenant}
    return {
        "name": account.name,
        "id": account.id,
        "type": _ACCOUNT_TYPE,
        "location": account.location,
        "tags": account.tags,
        "identity": identity,
        "properties": {
            "sku": {"name": "Basic"},
            "state": account.state,
            "creationTime": automation_time(created),
            "lastModifiedBy": "somebody@example.com",
            "lastModifiedTime": automation_time(created),
        },
    }


def job_schedule_document(account: Account, link: Link) -> dict[str, Any]:
    """Build a job schedule, which has no name of its own (published example)."""
    return {
        "id": f"{account.id}/jobSchedules/{link.id}",
        "type": f"{_ACCOUNT_TYPE}/JobSchedules",
        "properties": {
            "jobScheduleId": link.id,
            "runbook": {"name": link.runbook},
            "schedule": {"name": link.schedule},
            "runOn": None,
            "parameters": None,
        },
    }


def run_document(account: Account, run: Run) -> dict[str, Any]:
    """Build an item of the list of jobs."""
    changed = run.ended_at or run.started_at or run.created_at
    return {
        "id": f"{account.id}/jobs/{run.name}",
        "name": run.name,
        "type": f"{_ACCOUNT_TYPE}/Jobs",
        "properties": {
            "jobId": run.name,
            "runbook": {"name": run.runbook},
            "provisioningState": "Succeeded",
            "status": run.status,
            "creationTime": automation_time(run.created_at),
            "startTime": None if run.started_at is None else automation_time(run.started_at),
            "lastModifiedTime": automation_time(changed),
            "endTime": None if run.ended_at is None else automation_time(run.ended_at),
        },
    }


def _usage(name: str, used: float, account: Account) -> dict[str, Any]:
    is_over = 0 <= account.minutes_limit < used
    return {
        "name": {"localizedValue": name, "value": name},
        "currentValue": used,
        "limit": account.minutes_limit,
        "throttleStatus": "ThrottledAtSubscriptionLevel" if is_over else "NotThrottled",
        "unit": "Minute",
    }
