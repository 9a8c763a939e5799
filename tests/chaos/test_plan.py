"""Plans: what a seed decides."""

from __future__ import annotations

from tests.chaos.plan import FAULT_RATE, STORM, make_plan
from tests.chaos.steps import Create, Delete, Edit, Kill, Lane, Outage, Terminate

SEEDS = range(1, 201)


def test_a_seed_gives_the_same_plan_each_time_and_two_seeds_give_two() -> None:
    assert make_plan(1234) == make_plan(1234)
    assert str(make_plan(1234)) == str(make_plan(1234))
    assert len({str(make_plan(seed)) for seed in SEEDS}) == len(SEEDS)


def test_every_third_seed_leaves_the_process_alive_and_every_other_kills_it() -> None:
    for seed in SEEDS:
        plan = make_plan(seed)
        ends = [step for step in plan.steps if isinstance(step.action, Kill | Terminate)]
        assert plan.one_process == (not ends) == (seed % 3 == 0)


def test_faults_at_random_hit_a_tenth_of_the_calls() -> None:
    for seed in SEEDS:
        general = [
            fault
            for fault in make_plan(seed).faults
            if fault.parameters.get("method") != "PATCH" and "route" not in fault.parameters
        ]
        rates = [fault.parameters["rate"] for fault in general if fault.kind not in {"no_job_urls", "fail_job"}]
        assert 0.8 * FAULT_RATE < sum(rates) < 1.2 * FAULT_RATE + 0.02


def test_steps_are_in_the_order_of_time_and_outages_end_with_the_storm() -> None:
    for seed in SEEDS:
        steps = make_plan(seed).steps
        assert [step.at for step in steps] == sorted(step.at for step in steps)
        assert all(step.at + step.action.seconds < STORM for step in steps if isinstance(step.action, Outage))


def test_only_resources_that_are_there_are_edited_and_deleted_and_every_vault_keeps_one() -> None:
    for seed in SEEDS:
        plan = make_plan(seed)
        there = {each.name: each.vault for each in plan.resources}
        for step in plan.steps:
            match step.action:
                case Create(name, vault):
                    assert name not in there
                    there[name] = vault
                case Delete(name):
                    del there[name]
                case Edit(name):
                    assert name in there
        assert set(there.values()) == {0, 1, 2, 3}


def test_together_the_seeds_do_everything() -> None:
    plans = [make_plan(seed) for seed in SEEDS]
    assert {type(step.action).__name__ for plan in plans for step in plan.steps} == {
        "AddMappings", "AddVault", "AgeAgents", "Create", "Delete", "DeleteVault", "Drift", "Edit", "EndStuckJobs",
        "ExcludeVault", "Freeze", "Kill", "Look", "OtherClient", "Outage", "RemoveMappings", "SetSubscription",
        "Terminate", "TokenOutage", "UpdateAgents",
    }  # fmt: skip
    assert {step.lane for plan in plans for step in plan.steps} == set(Lane)
    edited = {
        name for plan in plans for step in plan.steps if isinstance(step.action, Edit) for name in step.action.spec
    }
    assert edited == {"autoUpdate", "account", "mode", "suspend", "interval", "deletionPolicy", "agentUpdates"}
