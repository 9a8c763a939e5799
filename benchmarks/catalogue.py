"""The scenarios of a full run and of the short one."""

from __future__ import annotations

from typing import Final

from benchmarks.scenarios import HOUR, Bounds, Contender, Disturbance, Late, Scenario, Vault, vaults

ONE_VAULT: Final = 1.10
MANY_VAULTS: Final = 1.15
MANY_SCOPES: Final = 1.25
"""What the limits allow here is 1,000 or 2,000 PATCHes at once, which a process needs some seconds to send."""
_EVERYBODY: Final = (Contender.OURS, Contender.RUNBOOK, Contender.SDK)
_MIXED_ENDS: Final = {"partially_succeeded_share": 0.05, "completed_with_information_share": 0.05}
"""Some jobs end well in other words than Succeeded, as they do in Azure."""

__all__ = ["FULL", "SMOKE"]

FULL: Final = (
    Scenario(
        "compare-300",
        "300 mappings, 210 to patch",
        10,
        (Vault("vault-0000", 210, 90),),
        Bounds(ratio=ONE_VAULT),
        contenders=_EVERYBODY,
        jobs=_MIXED_ENDS,
        scales={Contender.RUNBOOK: 20},
        limits={Contender.SDK: 240},
        is_light=True,
    ),
    Scenario(
        "vault-1000",
        "one vault, 1,000 to patch",
        15,
        vaults(1, 1000),
        Bounds(ratio=ONE_VAULT),
        contenders=_EVERYBODY,
        jobs=_MIXED_ENDS,
        scales={Contender.RUNBOOK: 60, Contender.SDK: 15},
        limits={Contender.SDK: 375},
        is_light=True,
    ),
    Scenario("vault-200", "one vault, 200 to patch", 2, vaults(1, 200), Bounds(ratio=ONE_VAULT), is_light=True),
    Scenario("vault-5000", "one vault, 5,000 to patch", 60, vaults(1, 5000), Bounds(ratio=ONE_VAULT)),
    Scenario("20x50", "20 vaults of 50, one scope", 15, vaults(20, 50), Bounds(ratio=MANY_VAULTS), is_light=True),
    Scenario("200x20", "200 vaults of 20, one scope", 30, vaults(200, 20), Bounds(ratio=MANY_VAULTS, reads=10_000)),
    Scenario(
        "20x50-10", "20 vaults of 50, 10 subscriptions", 1.5, vaults(20, 50, scopes=10), Bounds(ratio=MANY_SCOPES)
    ),
    Scenario(
        "200x20-10", "200 vaults of 20, 10 subscriptions", 1.75, vaults(200, 20, scopes=10), Bounds(ratio=MANY_SCOPES)
    ),
    Scenario(
        "first-500",
        "500 vaults of 20 in one scope, 1 to patch in each",
        3,
        vaults(500, 1, compliant=19),
        Bounds(ratio=1.5, reads=5000),
    ),
    Scenario(
        "late-5",
        "a vault of 5 while one of 5,000 is under way",
        15,
        vaults(1, 5000),
        Bounds(late_seconds=40.0),
        late=Late(Vault("small", 5), at=130.0),
        is_light=True,
    ),
    Scenario(
        "half-quota",
        "one vault of 2,000; for 10 min another client makes 100 writes a minute",
        40,
        vaults(1, 2000),
        Bounds(throttled=40, share_of_left=0.75),
        disturbance=Disturbance(100, until=600),
        is_light=True,
    ),
    Scenario(
        "faults-5",
        "one vault of 1,000; 5 % of PATCHes and of jobs fail",
        40,
        vaults(1, 1000),
        jobs={"failed_share": 0.05},
        patch_failure_share=0.05,
    ),
    Scenario(
        "steady-1000",
        "1,000 vaults of 20, all as declared, for an hour",
        200,
        vaults(1000, 0, compliant=20),
        Bounds(reads=2500),  # each vault once; every six hours its machines' agents, and five of its account
        hold=HOUR,
    ),
)

SMOKE: Final = (
    Scenario("vault-600", "one vault, 600 to patch", 9, vaults(1, 600), Bounds(ratio=ONE_VAULT)),
    Scenario("30x20", "30 vaults of 20, one scope", 9, vaults(30, 20), Bounds(ratio=MANY_VAULTS)),
    Scenario(
        "late-5",
        "a vault of 5 while one of 5,000 is under way",
        15,
        vaults(1, 5000),
        Bounds(late_seconds=40.0),
        late=Late(Vault("small", 5), at=130.0),
    ),
)
