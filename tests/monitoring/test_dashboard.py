"""The dashboard: made by code, about metrics that exist, and each query gives something in a real Prometheus."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tools.docs_build import dashboard
from workbench.prometheus.monitored import ROOT, Monitored
from workbench.prometheus.promql import problems_of

DASHBOARD: dict[str, Any] = json.loads(dashboard.PAGE.read_text()) if dashboard.PAGE.exists() else {"panels": []}
ROWS = [panel for panel in DASHBOARD["panels"] if panel["type"] == "row"]
PANELS = [panel for each in DASHBOARD["panels"] for panel in (each, *each.get("panels", ())) if panel["type"] != "row"]
QUERIES = [
    pytest.param(panel, target, id=f"{panel['title']}-{target['refId']}".replace(" ", "_"))
    for panel in PANELS
    for target in panel.get("targets", ())
]


def test_rows_and_variables_are_those_that_people_look_for_and_all_rows_but_two_are_closed() -> None:
    assert {row["title"]: row["collapsed"] for row in ROWS} == {
        "Overview": False, "Vaults": False, "Drift and repair": True, "Jobs": True, "Agents": True,
        "Policies": True, "Azure": True, "Operator": True,
    }  # fmt: skip
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == [
        "datasource", "cluster", "job", "namespace", "resource",
    ]  # fmt: skip


@pytest.mark.parametrize("panels", [DASHBOARD["panels"], *(row["panels"] for row in ROWS if row["panels"])])
def test_panels_lie_side_by_side(panels: list[dict[str, Any]]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_has_a_number_a_source_a_description_a_unit_and_a_page_to_read_on() -> None:
    identifiers = [panel["id"] for panel in (*ROWS, *PANELS)]
    assert len(identifiers) == len(set(identifiers))
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["description"].endswith("."), panel["title"]
        page = panel["links"][0]["url"].rpartition("/")[2]
        assert (ROOT / "docs/runbooks" / page).exists(), panel["title"]
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"]


def test_nothing_is_drawn_for_each_resource_but_for_a_few() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            if "{{name}}" in target["legendFormat"] or panel["type"] == "table":
                few = "topk(" in target["expr"] or "bottomk(" in target["expr"]
                assert few or "build_info" in target["expr"], panel["title"]


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
    every = {"$cluster": ".*", "$job": ".*", "$namespace": ".+", "$resource": ".+"}
    for name, value in {**every, "$__rate_interval": "10s", "$__range": "1m"}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


EMPTY_WHILE_WELL = {"What the API server refuses", "Azure wants to be left alone", "Why schedules are amiss"}
"""Panels that may have nothing to draw in the scenario: no write is refused, a pause may fall between scrapes, and
schedules are moved to their time."""


@pytest.mark.parametrize(
    ("panel", "target"),
    [each for each in QUERIES if str(each.id).rpartition("-")[0].replace("_", " ") not in EMPTY_WHILE_WELL],
)
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
        ("Is everything right?", 2),
        ("Not Ready", 1),
        ("Why not Ready", 1),
        ("Mappings that failed", 1),
        ("Why not Ready, over time", 1),
        ("The worst resources", 3 * 3600),
        ("Undone by somebody else", 1),
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
        ("Vaults covered", 1),
        ("Vaults by what becomes of them", 5),
    ],
)
def test_what_happened_in_the_scenario_can_be_seen(scenario: Monitored, title: str, least: float) -> None:
    (panel,) = (panel for panel in PANELS if panel["title"] == title)
    expression = filled_in(panel["targets"][0]["expr"])
    found = scenario.prometheus.query_range(expression, scenario.began, scenario.ended, 0.5)
    assert max(float(value) for each in found for _, value in each["values"]) >= least
