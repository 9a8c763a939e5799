"""Grafana panels as plain dictionaries, in the form that Grafana exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

RUNBOOKS: Final = "https://github.com/vault-autoupdate/vault-autoupdate/blob/main/docs/runbooks"
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_GREY: Final = "#8e8e8e"
_COLOURS: Final = {
    "compliant": "green",
    "drifted": "yellow",
    "updating": "blue",
    "failed": "red",
    "ignored": _GREY,
    "succeeded": "green",
    "failed_to_start": "orange",
    "timed_out": "purple",
    "success": "green",
    "error": "red",
    "superseded": "blue",
}

Panel = dict[str, Any]

__all__ = ["DATASOURCE", "RUNBOOKS", "Panel", "bars_of", "heatmap", "series", "stat", "table"]


def _panel(
    kind: str, title: str, targets: list[Panel], size: tuple[int, int], *, text: str, book: str, **more: Any
) -> Panel:
    page = f"VaultAutoUpdate{book}" if book else "README"
    return {
        "type": kind,
        "title": title,
        "description": text,
        "links": [{"title": "What to do", "url": f"{RUNBOOKS}/{page}.md", "targetBlank": True}],
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
    words: Mapping[int, tuple[str, str]] | None = None,
    zero: str = "",
    text: str,
    book: str = "",
) -> Panel:
    """One big number, or by ``words`` what each number means and its colour; ``book`` is the alert to read about.

    ``zero`` is what stands there instead of 0.
    """
    mappings = [
        {"type": "value", "options": {str(value): {"text": word, "color": colour, "index": value}}}
        for value, (word, colour) in (words or ({0: (zero, _GREY)} if zero else {})).items()
    ]
    thresholds = {"mode": "absolute", "steps": [{"color": colour, "value": value} for colour, value in steps]}
    return _panel(
        "stat",
        title,
        [_target(expression, instant=True, range=False)],
        (width, height),
        text=text,
        book=book,
        fieldConfig={"defaults": {"unit": unit, "thresholds": thresholds, "mappings": mappings}, "overrides": []},
        options={
            "colorMode": "background" if words else "value",
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
    text: str,
    book: str = "",
) -> Panel:
    """Lines or bars over time; ``colours`` are by legend."""
    custom = {
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 60 if bars or stacked else 8,
        "lineWidth": 0 if stacked else 1,  # what is 0 would be a line above all others
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    return _panel(
        "timeseries",
        title,
        [_target(expression, legend) for expression, legend in targets],
        (width, 8),
        text=text,
        book=book,
        fieldConfig={
            "defaults": {
                "unit": unit,
                "min": 0,
                "decimals": 0 if bars else None,
                "custom": custom,
                "color": {"mode": "palette-classic"},
            },
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


def bars_of(
    title: str, expression: str, legend: str, *, width: int, colour: str = "orange", text: str, book: str = ""
) -> Panel:
    """What there is most of now, as bars with names."""
    return _panel(
        "bargauge",
        title,
        [_target(expression, legend, instant=True, range=False)],
        (width, 6),
        text=text,
        book=book,
        fieldConfig={
            "defaults": {
                "unit": "short",
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": [{"color": colour, "value": None}]},
                "noValue": "nothing",
            },
            "overrides": [],
        },
        options={
            "orientation": "horizontal",
            "displayMode": "basic",
            "showUnfilled": False,
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    )


def heatmap(title: str, expression: str, *, width: int = 12, text: str) -> Panel:
    """A histogram over time."""
    return _panel(
        "heatmap",
        title,
        [_target(expression, "{{le}}", format="heatmap")],
        (width, 8),
        text=text,
        book="",
        options={
            "calculate": False,
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
            "yAxis": {"unit": "s"},
            "cellGap": 1,
            "legend": {"show": True},
            "tooltip": {"mode": "single", "yHistogram": False},
        },
        fieldConfig={"defaults": {"unit": "s"}, "overrides": []},
    )


def table(
    title: str,
    columns_of: Sequence[tuple[str, str]],
    *,
    width: int,
    height: int = 8,
    columns: Sequence[str] = ("namespace", "name"),
    sort: str = "",
    descending: bool = False,
    text: str,
    book: str = "",
) -> Panel:
    """A table with a column for each query, joined by labels; ``sort`` is the column whose least values come first."""
    alone = len(columns_of) == 1
    names = {
        "Value" if alone else f"Value #{chr(ord('A') + number)}": name for number, (name, _) in enumerate(columns_of)
    }
    shown = [*columns, *names]
    units = {
        "As declared": "percentunit",
        "Not Ready for": "s",
        "Last look": "s",
        "Last full discovery": "s",
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
        text=text,
        book=book,
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
        options={"showHeader": True, "sortBy": [{"displayName": sort, "desc": descending}] if sort else []},
        fieldConfig={
            "defaults": {"custom": {"align": "auto"}},
            "overrides": [
                {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": unit}]}
                for name, unit in units.items()
                if name in names.values()
            ],
        },
    )
