"""Set-up of all tests: how hypothesis looks for counterexamples."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "unit",
    deadline=None,  # two busy cores are no defect
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.register_profile("thorough", settings.get_profile("unit"), max_examples=2000, derandomize=False)
settings.register_profile(
    "mutants",  # whether a test fails is all that counts: not with which smallest example
    settings.get_profile("unit"),
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))
