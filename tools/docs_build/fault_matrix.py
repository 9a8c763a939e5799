"""Writes the fault matrix in docs/reliability.md from the table that the tests try."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tools.docs_build.pages import between
from workbench.faults.discovery import DISCOVERY_CELLS, DiscoveryCall, left_out
from workbench.faults.matrix import AGENT_CELLS, CELLS, FAULTS, SCHEDULE_CELLS, excuse, told
from workbench.faults.model import AgentCall, Call, Cell, Expected, Fault, Group, ScheduleCall, Simulated

PAGE: Final = Path(__file__).resolve().parents[2] / "docs/reliability.md"
_BEGIN: Final = "<!-- fault matrix: written by tools/docs_build/fault_matrix.py -->"
_END: Final = "<!-- end of fault matrix -->"

_COLUMNS: Final = {
    Group.OBSERVE: "observe",
    Group.TRACK: "track",
    Group.APPLY: "apply",
    Group.MAKE_SURE: "make sure",
    Group.LOGIN: "log in",
}
_PURPOSES: Final = {
    Call.GET_VAULT: "the vault, for its region",
    Call.LIST_MAPPINGS: "all mappings",
    Call.LIST_MAPPINGS_PAGE_2: "their second page",
    Call.LIST_JOBS: "jobs that are at work already",
    Call.LIST_JOBS_POLL: "the jobs of this run",
    Call.GET_JOB: "a job that the list does not show",
    Call.GET_MAPPING: "a mapping whose job is not known",
    Call.UPDATE_MAPPING: "the PATCH",
    Call.LIST_JOBS_LOST_ANSWER: "whether a PATCH got through whose answer was lost",
    Call.GET_TOKEN: "a token, from the managed identity endpoint",
}
_AGENT_PURPOSES: Final = {
    AgentCall.LIST_ITEMS: "all machines and their agents",
    AgentCall.UPDATE_AGENT: "the POST that has an agent updated",
    AgentCall.GET_ITEM: "whether a POST got through whose answer was lost",
    AgentCall.GET_ACCOUNT: "the Automation account",
    AgentCall.LIST_SCHEDULES: "its schedules",
    AgentCall.LIST_JOB_SCHEDULES: "what binds them to the runbook",
    AgentCall.LIST_ACCOUNT_JOBS: "the last runs of the runbook",
    AgentCall.LIST_USAGES: "the minutes used",
    AgentCall.LIST_ROLE_ASSIGNMENTS: "the roles of its identity",
    AgentCall.GET_ROLE_DEFINITION: "what such a role allows",
    AgentCall.LIST_DENY_ASSIGNMENTS: "what is denied",
}
_AGENT_COLUMNS: Final = {
    "agents": (AgentCall.LIST_ITEMS,),
    "account": tuple(call for call in AgentCall if call.is_about_account),
    "update": (AgentCall.UPDATE_AGENT,),
}
_DISCOVERY_PURPOSES: Final = {
    DiscoveryCall.LIST_SUBSCRIPTIONS: "the subscriptions that the identity sees, and their states",
    DiscoveryCall.LIST_DESCENDANTS: "those in a management group",
    DiscoveryCall.LIST_VAULTS: "the vaults of one",
    DiscoveryCall.LIST_ACCOUNTS: "its Automation accounts",
    DiscoveryCall.QUERY_GRAPH: "all of that at once, from Resource Graph",
    DiscoveryCall.LOOK_AT_VAULT: "one vault, before its resource may go or auto-update is switched off",
    DiscoveryCall.GET_USAGES: "whether a vault replicates anything",
}
_TEXT: Final = """
{calls} calls and {faults} faults: {cells} cells, each tested with a fault that strikes once and with one that lasts; the other
{left_out} make no sense, and are listed with the reason. `make faults` runs them: the operator's core, fleet and queue as
they are, over real HTTP to the [simulator](simulator.md), or to a closed port, an unknown name, a server with an
untrusted certificate. In every cell

- nothing is lost: in the end all mappings are as declared, no job is forgotten, and the run in the status is complete;
- nothing is done twice: Site Recovery accepts one PATCH for each mapping, and has to refuse none because of a job;
- the reason is in the condition Ready while the fault lasts;
- the token goes nowhere else: another host that redirects and links lead to is never asked, and no secret is in the
  status or the log;
- when the fault is gone, the next look puts things right, without a restart.

The calls, by what they are for:

| column | calls |
| --- | --- |
{groups}

What is shown: *absorbed* means that a fault that strikes once goes unnoticed. The rest is what Ready says while the fault lasts, reason and status; *Azure's code* is the one in
the answer. `Progressing` has the cause in its message, `MappingsFailed` the cause of the mapping that it concerns: the
others are changed. *unnoticed*: the work goes on as if nothing were, also while the fault lasts.

| fault | {columns} |
| --- |{dashes}
{rows}

These differ from their column:

| call | fault | |
| --- | --- | --- |
{exceptions}

When the next look is due, without a restart:

| Ready | next look |
| --- | --- |
| `Unknown`, passing faults | after `VAULT_AUTOUPDATE_RETRY_MIN`, doubled each time, at most `spec.interval` |
| `Throttled` | when the pause is over that Azure asked for; more than an hour counts as an hour, and a date is not read |
| `False`, somebody has to mend it | at `spec.interval`, or sooner while jobs are in flight |
| `MappingsFailed` | at the next try of the mapping, by its own backoff |
| `Progressing` | the same pass goes on |

A call that is sent again in place waits 2, 4, and 8 s before that (`VAULT_AUTOUPDATE_RETRY_PAUSE`). Before a PATCH is sent
again, the jobs and the mapping are looked at; as long as they cannot be, it is not.

Cells that make no sense:

| fault | calls | why |
| --- | --- | --- |
{excuses}

### Agents and the Automation account

{agent_calls} more calls are about agents, their updates and the Automation account: {agent_cells} cells, each tested with a fault
that lasts and then is gone, and the updates also with one that strikes once ({agent_left_out} cells are left out, for the reasons
above). In every cell

- Ready stays `True`, and the vault's own work is done;
- where something cannot be seen, its condition says so, and the other one is as ever, after a 429 from the next look on;
- each agent is updated once: Site Recovery accepts one POST for each machine, also when an answer is lost and nobody can
  look what became of it; then the machine itself tells later on;
- no job is forgotten, the token goes nowhere else, and when the fault is gone, all comes right without a restart.

| column | calls |
| --- | --- |
{agent_groups}

*as before*: what may pass by itself is looked at again at the next look, and the condition stays as it is until then; an
update is tried again at the next step. *noted for the machine*: after four tries at the most its update counts as failed, with the
reason, and the window stops at `maxFailures`. *said*: the reason is in `status.agentUpdates.message`, nothing counts as failed, and it goes on by
itself.

| fault | {agent_columns} |
| --- |{agent_dashes}
{agent_rows}

`{get_item}` after a lost answer: whatever the fault, the POST is not sent again. With a 404 the machine counts as failed: it
is not replicated any more.

### The time of schedules

The {schedule_calls} calls of `spec.runbookSchedule` ({schedule_names}) meet the same faults: {schedule_cells} cells, each with a fault that
lasts and then is gone. In every cell

- Ready stays `True`, and neither the vault's own work nor the looks at agents and account depend on it;
- the condition `RunbookScheduleInSync` is never `True` while a schedule runs at another time;
- nothing but the named schedules is written, each at most twice in 24 hours, also when answers are lost;
- when the fault is gone, all run at their time without a restart, at the latest when the limit allows it.

### Discovery

The {discovery_calls} calls by which policies find vaults meet them too: {discovery_cells} cells, each with a fault that lasts for two
discoveries and then is gone. The policy may remove whatever it has proof for. In every cell

- no resource is removed or changed;
- while {deciding} fails, `DiscoveryComplete` is `False` with the reason; where Resource Graph fails, lists are read
  instead; without accounts no resource is made that needs one, and without a sight of what is replicated none for a vault of which
  that is asked;
- when the fault is gone, the next discovery is complete.

| call | what for |
| --- | --- |
{discovery_purposes}

Not tried:

| why | cells |
| --- | --- |
{discovery_left_out}

The activity log, which is read for hints and for who did it, is beside all of this: whatever it answers, drift is repaired, and nobody
is named by guess ([drift](drift.md)).
"""


def section() -> str:
    """What stands between the marks."""
    left_out = len(Call) * len(FAULTS) - len(CELLS)
    return _TEXT.format(
        calls=len(Call),
        faults=len(FAULTS),
        cells=len(CELLS),
        left_out=left_out,
        groups="\n".join(f"| {title} | {_calls_of(group)} |" for group, title in _COLUMNS.items()),
        columns=" | ".join(_COLUMNS.values()),
        dashes=" --- |" * len(_COLUMNS),
        rows="\n".join(_rows()),
        exceptions="\n".join(_exceptions()),
        excuses="\n".join(_excuses()),
        agent_calls=len(AgentCall),
        agent_cells=len(AGENT_CELLS),
        agent_left_out=len(AgentCall) * len(FAULTS) - len(AGENT_CELLS),
        agent_groups="\n".join(
            f"| {title} | {'<br>'.join(f'`{call}`: {_AGENT_PURPOSES[call]}' for call in calls)} |"
            for title, calls in {**_AGENT_COLUMNS, "make sure": (AgentCall.GET_ITEM,)}.items()
        ),
        agent_columns=" | ".join(_AGENT_COLUMNS),
        agent_dashes=" --- |" * len(_AGENT_COLUMNS),
        agent_rows="\n".join(_agent_rows()),
        get_item=AgentCall.GET_ITEM,
        schedule_calls=len(ScheduleCall),
        schedule_names=", ".join(f"`{call}`" for call in ScheduleCall),
        schedule_cells=len(SCHEDULE_CELLS),
        discovery_calls=len(DiscoveryCall),
        discovery_cells=len(DISCOVERY_CELLS),
        deciding=" or ".join(f"`{call}`" for call in DiscoveryCall if call.decides_what_is_there),
        discovery_purposes="\n".join(f"| `{call}` | {what} |" for call, what in _DISCOVERY_PURPOSES.items()),
        discovery_left_out="\n".join(_discovery_left_out()),
    )


def render() -> str:
    """The page with the matrix as it is now."""
    return between(PAGE.read_text(), _BEGIN, _END, section())


def _calls_of(group: Group) -> str:
    return "<br>".join(f"`{call}`: {_PURPOSES[call]}" for call in Call if call.group is group)


def _rows() -> Iterator[str]:
    """One row for all faults that come to the same."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for fault in FAULTS:
        cells = tuple(
            _shown(fault.expected[group], fault)
            if any(call.group is group and not excuse(call, fault) for call in Call)
            else "-"
            for group in _COLUMNS
        )
        alike.setdefault(cells, []).append(fault.title)
    for cells, titles in alike.items():
        yield f"| {'<br>'.join(titles)} | {' | '.join(cells)} |"


def _shown(expected: Expected, fault: Fault) -> str:
    if expected.ready == "True":
        return "unnoticed"
    codes = fault.injection.parameters if isinstance(fault.injection, Simulated) else {}
    reason = "Azure's code" if expected.reason == codes.get("code") else f"`{expected.reason}`"
    return f"{'absorbed; ' if expected.absorbed else ''}{reason}, {expected.ready}"


def _exceptions() -> Iterator[str]:
    for fault in FAULTS:
        for call, expected in fault.exceptions.items():
            yield f"| `{call}` | {fault.title} | {_shown(expected, fault)} |"


def _excuses() -> Iterator[str]:
    for fault in FAULTS:
        reasons: dict[str, list[str]] = {}
        for call in Call:
            if reason := excuse(call, fault):
                reasons.setdefault(reason, []).append(f"`{call}`")
        for reason, calls in reasons.items():
            yield f"| {fault.title} | {', '.join(calls)} | {reason} |"


def _discovery_left_out() -> Iterator[str]:
    reasons: dict[str, int] = {}
    for call in DiscoveryCall:
        for fault in FAULTS:
            if why := left_out(call, fault):
                reasons[why] = reasons.get(why, 0) + 1
    return (f"| {why} | {count} |" for why, count in reasons.items())


def _agent_rows() -> Iterator[str]:
    """One row for all faults that come to the same."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for fault in FAULTS:
        cells = tuple(_agent_cell(calls, fault) for calls in _AGENT_COLUMNS.values())
        if any(cell != "-" for cell in cells):
            alike.setdefault(cells, []).append(fault.title)
    for cells, titles in alike.items():
        yield f"| {'<br>'.join(titles)} | {' | '.join(cells)} |"


def _agent_cell(calls: tuple[AgentCall, ...], fault: Fault) -> str:
    shown: dict[str, list[str]] = {}
    for call in calls:
        if not excuse(call, fault):
            what = _update(call, fault) if call is AgentCall.UPDATE_AGENT else _condition(call, fault)
            shown.setdefault(what, []).append(f"`{call}`")
    if len(shown) <= 1:
        return next(iter(shown), "-")
    return "; ".join(f"{', '.join(names)}: {what}" for what, names in shown.items())


def _condition(call: AgentCall, fault: Fault) -> str:
    expected = told(call, fault)
    return _shown(expected, fault) if expected else "as before"


def _update(call: AgentCall, fault: Fault) -> str:
    expected = Cell(call, fault).expected
    match expected.reason:
        case "Compliant":
            return "unnoticed"
        case "Progressing":
            return "as before"
        case "MappingsFailed":
            return "noted for the machine"
        case _:
            return "said"
