"""Grafana panels as plain dictionaries, in the form that Grafana exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_COLOURS: Final = {
    "compliant": "green",
    "drifted": "yellow",
    "updating": "blue",
    "failed": "red",
    "ignored": "#8e8e8e",
    "succeeded": "green",
    "failed_to_start": "orange",
    "timed_out": "purple",
    "success": "green",
    "error": "red",
    "superseded": "blue",
}

Panel = dict[str, Any]

__all__ = ["DATASOURCE", "Panel", "heatmap", "series", "stat", "table"]


def _panel(kind: str, title: str, targets: list[Panel], size: tuple[int, int], text: str, **more: Any) -> Panel:
    return {
        "type": kind,
        "title": title,
        **({"description": text} if text else {}),
        "datasource": DATASOURCE,
        "gridPos": {"w": size[0], "h": size[1]},
        "targets": [{**target, "refId": chr(ord("A") + number)} for number, target in enumerate(targets)],
        **more,
    }


def _target(expression: str, legend: str = "", **more: Any) -> Panel:
    return {"datasource": DATASOURCE, "expr": expression, "legendFormat": legend, "range": True, **more}


def stat(
    title: str,
    expression: str,
    *,
    width: int,
    height: int = 4,
    unit: str = "short",
    steps: Sequence[tuple[str, float | None]] = (("blue", None),),
    text: str = "",
) -> Panel:
    """One big number."""
    thresholds = {"mode": "absolute", "steps": [{"color": colour, "value": value} for colour, value in steps]}
    return _panel(
        "stat",
        title,
        [_target(expression, instant=True, range=False)],
        (width, height),
        text,
        fieldConfig={"defaults": {"unit": unit, "thresholds": thresholds}, "overrides": []},
        options={
            "colorMode": "value",
            "graphMode": "none",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    )


def series(
    title: str,
    targets: Sequence[tuple[str, str]],
    *,
    width: int = 12,
    unit: str = "short",
    stacked: bool = False,
    bars: bool = False,
    colours: Mapping[str, str] = _COLOURS,
    text: str = "",
) -> Panel:
    """Lines or bars over time; ``colours`` are by legend."""
    custom = {
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 60 if bars else 25 if stacked else 8,
        "lineWidth": 1,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    return _panel(
        "timeseries",
        title,
        [_target(expression, legend) for expression, legend in targets],
        (width, 8),
        text,
        fieldConfig={
            "defaults": {"unit": unit, "min": 0, "custom": custom, "color": {"mode": "palette-classic"}},
            "overrides": [
                {
                    "matcher": {"id": "byName", "options": name},
                    "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
                }
                for name, colour in colours.items()
            ],
        },
        options={
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    )


def heatmap(title: str, expression: str, *, width: int = 12) -> Panel:
    """A histogram over time."""
    return _panel(
        "heatmap",
        title,
        [_target(expression, "{{le}}", format="heatmap")],
        (width, 8),
        "",
        options={
            "calculate": False,
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
            "yAxis": {"unit": "s"},
            "cellGap": 1,
            "legend": {"show": True},
            "tooltip": {"mode": "single", "yHistogram": False},
        },
        fieldConfig={"defaults": {}, "overrides": []},
    )


def table(
    title: str,
    columns_of: Sequence[tuple[str, str]],
    *,
    width: int,
    height: int = 8,
    columns: Sequence[str] = ("namespace", "name"),
    sort: str = "Ready",
    text: str = "",
) -> Panel:
    """A table with a column for each query, joined by labels; ``sort`` is the column whose least values come first."""
    names = {f"Value #{chr(ord('A') + number)}": name for number, (name, _) in enumerate(columns_of)}
    if len(columns_of) == 1:
        names = {}
    shown = [*columns, *names]
    units = {
        "As declared": "percentunit",
        "Not Ready for": "s",
        "Last look": "s",
        "Next window in": "s",
        "Next run in": "s",
        "Run time used": "s",
        "Run time limit": "s",
    }
    return _panel(
        "table",
        title,
        [_target(expression, instant=True, range=False, format="table") for _, expression in columns_of],
        (width, height),
        text,
        transformations=[
            {"id": "merge", "options": {}},
            {"id": "filterFieldsByName", "options": {"include": {"names": shown}}},
            {
                "id": "organize",
                "options": {
                    "indexByName": {name: number for number, name in enumerate(shown)},
                    "renameByName": names,
                },
            },
        ],
        options={"showHeader": True, "sortBy": [{"displayName": sort, "desc": False}] if names else []},
        fieldConfig={
            "defaults": {"custom": {"align": "auto"}},
            "overrides": [
                {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": unit}]}
                for name, unit in units.items()
                if name in names.values()
            ],
        },
    )
