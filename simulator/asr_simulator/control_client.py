"""A synchronous client of the control endpoint; needs nothing but the standard library."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, cast

from asr_simulator.control_types import (
    AccountInfo,
    ActivityRecord,
    DueRun,
    FaultState,
    ItemState,
    MappingState,
    PatchRecord,
    RequestRecord,
    State,
    Stats,
)

_TIMEOUT = 30.0

__all__ = ["ControlClient", "ControlRefusedError"]


class ControlRefusedError(Exception):
    """The control endpoint refused a request; carries every problem that it named."""

    def __init__(self, status: int, problems: list[str]) -> None:
        super().__init__(f"{status}: {'; '.join(problems)}")
        self.status = status
        self.problems = problems


class ControlClient:
    """Talks to ``/_simulator/`` of a simulator on this machine."""

    def __init__(self, base_url: str, *, certificate: Path | None = None) -> None:
        """Prepare to talk to ``base_url``; over TLS only to the server that has ``certificate``."""
        self._base = base_url.rstrip("/")
        # Never through a proxy: the simulator only listens to this machine.
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if certificate is not None:
            context = ssl.create_default_context(cafile=str(certificate))
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # trust it even if somebody else has signed it
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def state(self) -> State:
        """Sum up everything."""
        return cast("State", self._get("state"))

    def mappings(self, vault: str | None = None) -> list[MappingState]:
        """Show the mappings of a vault as they are."""
        return cast("list[MappingState]", self._get("mappings", vault=vault)["mappings"])

    def requests(
        self,
        *,
        since: int = 0,
        limit: int = 1000,
        kind: str | None = None,
        method: str | None = None,
        vault: str | None = None,
    ) -> list[RequestRecord]:
        """Show the newest requests."""
        page = self._get("requests", since=since, limit=limit, kind=kind, method=method, vault=vault)
        return cast("list[RequestRecord]", page["requests"])

    def patches(self, vault: str | None = None) -> dict[str, PatchRecord]:
        """Show what was done to each mapping that was PATCHed, by ARM id."""
        records = cast("list[PatchRecord]", self._get("patches", vault=vault)["patches"])
        return {record["id"]: record for record in records}

    def stats(self) -> Stats:
        """Show all counts."""
        return cast("Stats", self._get("stats"))

    def faults(self) -> list[FaultState]:
        """Show the waiting faults."""
        return cast("list[FaultState]", self._get("faults")["faults"])

    def add_fault(self, kind: str, **parameters: Any) -> str:
        """Arm a fault; returns its id."""
        return str(self._post("faults", {"kind": kind, **parameters})["id"])

    def clear_faults(self) -> int:
        """Take all faults back; returns how many there were."""
        return int(self._call("DELETE", "faults", None)["removed"])

    def remove_fault(self, identifier: str) -> None:
        """Take one fault back."""
        self._call("DELETE", f"faults/{identifier}", None)

    def drift(
        self,
        change: str,
        *,
        vault: str | None = None,
        mappings: list[str] | None = None,
        count: int | None = None,
        curable: bool = True,
        caller: str = "",
    ) -> list[str]:
        """Change mappings behind everybody's back; returns the names of those that were changed.

        The activity log shows it where a ``caller`` is given.
        """
        wish = {
            "vault": vault,
            "change": change,
            "mappings": mappings or [],
            "count": count,
            "curable": curable,
            "caller": caller,
        }
        return cast("list[str]", self._post("drift", wish)["changed"])

    def add_mappings(self, *, vault: str | None = None, **counts: int) -> list[str]:
        """Add mappings, so many of each kind; returns their names."""
        return cast("list[str]", self._post("mappings", {"vault": vault, "add": counts})["added"])

    def remove_mappings(self, *, vault: str | None = None, names: list[str] | None = None, count: int = 0) -> list[str]:
        """Remove mappings by name, or so many from the end; returns their names."""
        wish = {"vault": vault, "remove": names or [], "remove_count": count}
        return cast("list[str]", self._post("mappings", wish)["removed"])

    def release_agent(self, version: str, *, vault: str | None = None) -> None:
        """Let ``version`` be the newest agent from now on, everywhere or for one vault."""
        self._post("release", {"version": version, "vault": vault})

    def items(self, vault: str | None = None) -> list[ItemState]:
        """Show the agents of a vault as they are."""
        return cast("list[ItemState]", self._get("items", vault=vault)["items"])

    def set_items(self, vault: str | None, pattern: str, **fields: Any) -> list[str]:
        """Set fields of the agents of VMs whose names match ``pattern``; returns their names.

        Fields: version, update_required, upgrade_in_progress, retry_count, retries_exhausted, reinstall_required,
        blockers, certificate_update_required, expires_at, certificate_expires_at (ISO 8601; None for never).
        """
        return cast("list[str]", self._post("items", {"vault": vault, "pattern": pattern, "set": fields})["changed"])

    def accounts(self) -> list[AccountInfo]:
        """Show the Automation accounts, with what enabled mappings have in them."""
        return cast("list[AccountInfo]", self._get("accounts")["accounts"])

    def set_account(self, account: str, **fields: Any) -> None:
        """Change an account, named by name or ARM id: state, identity, minutes_used, minutes_limit, runs.

        Runs are a list of ``{"status", "ago", "lasted", "runbook"}``, in seconds; ``lasted`` None for one under way.
        """
        self._post("accounts", {"account": account, **fields})

    def delete_account(self, account: str) -> None:
        """Delete an account with all that is in it."""
        self._post("accounts", {"account": account, "delete": True})

    def restore_account(self, account: str) -> None:
        """Bring back a deleted account with all that was in it."""
        self._post("accounts", {"account": account, "restore": True})

    def assign_role(self, principal: str, role: str, scope: str) -> None:
        """Give an Automation account, a group or an object id a role; it shows, and works, after a while."""
        self._post("roles", {"assign": [{"principal": principal, "role": role, "scope": scope}]})

    def remove_roles(self, principal: str) -> int:
        """Take all roles from somebody, which shows after a while; returns how many there were."""
        return int(self._post("roles", {"remove": [principal]})["removed"])

    def deny(self, name: str, scope: str, **fields: Any) -> None:
        """Deny something from now on: principals, exclude, actions, not_actions, only_there, as in a scenario."""
        self._post("roles", {"deny": [{"name": name, "scope": scope, **fields}]})

    def delete_schedule(self, account: str, pattern: str) -> list[str]:
        """Delete schedules by name, with wildcards; returns their names in lower case."""
        return self._change_schedules(account, pattern, "delete")

    def delete_job_schedule(self, account: str, pattern: str) -> list[str]:
        """Delete job schedules by id, or by the name of their schedule, with wildcards; returns their ids."""
        return self._change_schedules(account, pattern, "delete_job_schedule")

    def set_schedule(self, account: str, pattern: str, *, enabled: bool) -> list[str]:
        """Enable or disable schedules by name, with wildcards; returns their names in lower case."""
        return self._change_schedules(account, pattern, "enable" if enabled else "disable")

    def reset_schedule(self, account: str, pattern: str) -> list[str]:
        """Set schedules back to the time that Site Recovery gives; returns their names in lower case."""
        return self._change_schedules(account, pattern, "reset")

    def share_schedule(self, account: str, pattern: str) -> list[str]:
        """Bind another runbook to schedules; returns their names in lower case."""
        return self._change_schedules(account, pattern, "share")

    def due_runs(self, account: str, hours: int = 24) -> list[DueRun]:
        """Show when the update runbook will be started, the soonest first."""
        return cast("list[DueRun]", self._get("due-runs", account=account, hours=hours)["runs"])

    def _change_schedules(self, account: str, pattern: str, change: str) -> list[str]:
        wish = {"account": account, "pattern": pattern, "change": change}
        return cast("list[str]", self._post("schedules", wish)["changed"])

    def activity(self, subscription: str) -> list[ActivityRecord]:
        """Show all of a subscription's activity log, what does not show yet included."""
        return cast("list[ActivityRecord]", self._get("activity", subscription=subscription)["entries"])

    def add_activity(self, resource: str, operation: str, **fields: Any) -> None:
        """Write a call of somebody into the activity log: caller, object_id, http_status, request_id, ago."""
        self._post("activity", {"resource": resource, "operation": operation, **fields})

    def add_vaults(self, *specs: dict[str, Any]) -> list[str]:
        """Make vaults, each described as in a scenario; returns their ids. Resource Graph learns of them later."""
        return cast("list[str]", self._post("vaults", {"add": list(specs)})["added"])

    def delete_vaults(self, *references: str) -> list[str]:
        """Delete vaults by name or ARM id; returns their ids."""
        return cast("list[str]", self._post("vaults", {"delete": list(references)})["deleted"])

    def tag_vault(self, vault: str | None, **tags: str) -> None:
        """Give a vault these tags and no others."""
        self._post("tags", {"vault": vault, "tags": tags})

    def set_subscription(self, subscription: str, **fields: str) -> None:
        """Change a subscription: state, management_group."""
        self._post("subscriptions", {"subscription": subscription, **fields})

    def settings(self, **sections: Any) -> dict[str, Any]:
        """Replace sections; returns what now applies.

        Sections: throttle, jobs, agent_updates, activity_log, schedules, latency, patch_failure_share, time_scale.
        """
        return self._post("settings", sections)

    def advance(self, simulated_seconds: float) -> float:
        """Jump ahead in simulated time; returns the new time."""
        return float(self._post("clock", {"advance": simulated_seconds})["simulated"])

    def reset_stats(self) -> None:
        """Forget counts, peaks and the records of PATCHes."""
        self._post("reset-stats", {})

    def _get(self, name: str, **query: str | int | None) -> dict[str, Any]:
        given = {key: value for key, value in query.items() if value is not None}
        return self._call("GET", f"{name}?{urllib.parse.urlencode(given)}" if given else name, None)

    def _post(self, name: str, document: dict[str, Any]) -> dict[str, Any]:
        return self._call("POST", name, document)

    def _call(self, method: str, name: str, document: dict[str, Any] | None) -> dict[str, Any]:
        data = None if document is None else json.dumps(document).encode()
        url = f"{self._base}/_simulator/{name}"
        request = urllib.request.Request(url, data=data, method=method)  # noqa: S310 - whoever calls chose the URL
        request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as response:
                return cast("dict[str, Any]", json.load(response))
        except urllib.error.HTTPError as error:
            with error:
                raise ControlRefusedError(error.code, _problems(error.read())) from None


def _problems(body: bytes) -> list[str]:
    try:
        return [str(problem) for problem in json.loads(body)["errors"]]
    except (ValueError, KeyError, TypeError):
        return [body.decode(errors="replace")]
