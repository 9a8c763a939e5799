"""The dashboard: made by code, about metrics that exist, and each query gives something in a real Prometheus."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tools.docs_build import dashboard
from workbench.prometheus.monitored import Monitored
from workbench.prometheus.promql import problems_of

DASHBOARD: dict[str, Any] = json.loads(dashboard.PAGE.read_text()) if dashboard.PAGE.exists() else {"panels": []}
QUERIES = [
    pytest.param(panel, target, id=f"{panel['title']}-{target['refId']}".replace(" ", "_"))
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
]


def test_rows_and_variables_are_those_that_people_look_for() -> None:
    assert [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"] == [
        "Fleet", "Drift and repair", "Jobs", "Agents", "Azure Resource Manager", "Operator",
    ]  # fmt: skip
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "namespace", "resource"]


def test_panels_lie_side_by_side_and_take_their_data_from_the_chosen_source() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
    identifiers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.parametrize(("panel", "target"), QUERIES)
def test_every_query_names_metrics_and_labels_that_exist(panel: dict[str, Any], target: dict[str, Any]) -> None:
    assert problems_of(target["expr"], target["legendFormat"]) == []


@pytest.mark.parametrize(
    ("expression", "legend", "problem"),
    [
        ("sum(vault_autoupdate_mapings)", "", "no metric vault_autoupdate_mapings"),
        ('vault_autoupdate_mappings{vault="x"}', "", "vault_autoupdate_mappings has no label vault"),
        ('vault_autoupdate_mappings{stat!="x"}', "", "vault_autoupdate_mappings has no label stat"),
        ("sum by (vault) (vault_autoupdate_mappings)", "", "to group by, there is no label vault"),
        ("sum by (le) (vault_autoupdate_jobs_total)", "", "to group by, there is no label le"),
        ("vault_autoupdate_mappings", "{{vault}}", "to show, there is no label vault"),
    ],
)
def test_a_query_with_a_metric_or_label_that_does_not_exist_is_found(
    expression: str, legend: str, problem: str
) -> None:
    assert problems_of(expression, legend) == [problem]


def filled_in(expression: str) -> str:
    """An expression as Grafana sends it with all resources chosen."""
    for name, value in {"$namespace": ".+", "$resource": ".+", "$__rate_interval": "10s", "$__range": "1m"}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


@pytest.mark.parametrize(("panel", "target"), QUERIES)
def test_every_query_gives_something_after_the_scenario(
    scenario: Monitored, panel: dict[str, Any], target: dict[str, Any]
) -> None:
    expression = filled_in(target["expr"])
    if target.get("instant"):
        found = scenario.prometheus.query(expression, at=scenario.ended)
        values = [float(each["value"][1]) for each in found]
    else:
        found = scenario.prometheus.query_range(expression, scenario.began, scenario.ended, 1)
        values = [float(value) for each in found for _, value in each["values"]]
    assert any(math.isfinite(value) for value in values), f"{panel['title']}: {expression} gives {found}"


@pytest.mark.parametrize(
    ("title", "least"),
    [
        ("Mappings failed", 1),
        ("Longest not Ready", 3 * 3600),
        ("Undone by somebody else", 0.1),
        ("Refused with 429", 1),
        ("Changes by outcome", 1),
        ("Most tries of a mapping", 2),
        ("Duration of jobs", 1),
        ("Expired, or within 60 days", 2),
        ("More than four releases behind", 2),
        ("Waiting for a window", 2),
        ("Updates under way", 1),
        ("Updates failed", 2),
        ("Accounts unhealthy", 1),
        ("Updates by outcome", 1),
    ],
)
def test_what_happened_in_the_scenario_can_be_seen(scenario: Monitored, title: str, least: float) -> None:
    (panel,) = (panel for panel in DASHBOARD["panels"] if panel["title"] == title)
    expression = filled_in(panel["targets"][0]["expr"])
    found = scenario.prometheus.query_range(expression, scenario.began, scenario.ended, 0.5)
    assert max(float(value) for each in found for _, value in each["values"]) >= least
