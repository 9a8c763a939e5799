"""Draws the dashboard from a real Prometheus: ``python -m tools.docs_build.dashboard_picture``.

No Grafana is needed: what it draws are the panels of the shipped file, where they lie, with their titles, units,
thresholds, words and legends, and what each query gives. Scenes: fleets of 5 and of 5,000 resources, while all is
well, while Azure refuses all of them, and after a restart amid that.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tools.docs_build.dashboard import PAGE as DASHBOARD
from workbench.process.ports import free_ports
from workbench.process.waiting import wait_until
from workbench.prometheus.monitored import ALERTS
from workbench.prometheus.server import HOW_TO_ENABLE, PrometheusServer, find_program, without_waiting

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs/dashboard"

_SPAN: Final = 120.0
"""Seconds that a picture shows."""
_PERIOD: Final = "10s"
"""Between two scrapes, which is how long one may take: on a busy machine a page of 5,000 resources takes seconds."""
_EVALUATED: Final = "20s"
"""Between two evaluations: they ask thousands of series for what a scene does not show."""
_FIRST_SCRAPE: Final = 300.0
"""Seconds that may pass until a process has heard of its resources and was scraped; alone it takes ten."""
_STEP: Final = 2.0
"""Seconds between two points of a line."""
_STAGE: Final = 70.0
"""Seconds for which a scene lasts before it is drawn."""
_FILLED_IN: Final = {
    "$cluster": ".*", "$job": ".*", "$namespace": ".+", "$resource": ".+", "$__rate_interval": "40s", "$__range": "1m",
}  # fmt: skip
_SIZES: Final = (5, 5000)
_ABOUT_WEEKS: Final = {"VaultAutoUpdateAgentsBehind", "VaultAutoUpdateAgentsLeftBehind"}
_OPENED: Final = ("Drift and repair", "Agents", "Azure", "Operator")
"""Rows that are drawn as if somebody had opened them, while all is well."""
_COLUMN, _LINE = 0.62, 0.36
"""Inches of one column and one line of the grid."""
_COLOURS: Final = {
    "green": "#56a64b", "red": "#e02f44", "orange": "#ff780a", "yellow": "#e0b400", "blue": "#3274d9",
    "dark-red": "#ad0317", "purple": "#8f3bb8",
}  # fmt: skip
_PALETTE: Final = ("#56a64b", "#e0b400", "#3274d9", "#ff780a", "#e02f44", "#8f3bb8", "#37872d", "#806eb7")

Panel = Mapping[str, Any]


def main() -> int:
    """Draw all scenes."""
    if (program := find_program("prometheus")) is None:
        sys.stderr.write(f"{HOW_TO_ENABLE}\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    for count in _SIZES:
        with tempfile.TemporaryDirectory() as folder:
            _draw_scenes(program, Path(folder), count)
    return 0


def _draw_scenes(program: str, folder: Path, count: int) -> None:
    metrics, health = free_ports(2)
    target = f"http://127.0.0.1:{metrics}/metrics"
    with PrometheusServer(program, folder / "prometheus", target=target, rules=_rules(), period=_PERIOD) as server:
        with _fleet(count, metrics, health, "well") as fleet:
            _let(server, _STAGE)
            draw(server, FOLDER / f"{count}-well.png", f"{count:,} resources, all is well")
            for row in _OPENED if count == max(_SIZES) else ():
                _draw_row(server, count, row, "all is well")
            if fleet.stdin is not None:
                fleet.stdin.write(b"refused\n")
                fleet.stdin.flush()
            _let(server, _STAGE)
            draw(server, FOLDER / f"{count}-refused.png", f"{count:,} resources, Azure refuses the identity")
            _draw_row(server, count, "Policies", "while Azure refuses the identity")
        with _fleet(count, metrics, health, "refused", "--since", str(_STAGE)):
            _let(server, _STAGE / 2)
            draw(server, FOLDER / f"{count}-restarted.png", f"{count:,} resources, after a restart amid that")


def _draw_row(server: PrometheusServer, count: int, row: str, while_what: str) -> None:
    path = FOLDER / f"{count}-{row.partition(' ')[0].lower()}.png"
    draw(server, path, f"The row {row}, {count:,} resources, {while_what}", row=row)


def _rules() -> dict[str, Any]:
    """The alerts, without waiting, as often as there are scrapes; but not those about weeks, of which a scene has none."""
    rules = without_waiting(ALERTS)
    for group in rules["groups"]:
        group["interval"] = _EVALUATED
        group["rules"] = [rule for rule in group["rules"] if rule.get("alert") not in _ABOUT_WEEKS]
    return rules


@contextmanager
def _fleet(count: int, metrics: int, health: int, mood: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with that many resources, which are like that."""
    command = [sys.executable, "-m", "workbench.prometheus.fleet", "--resources", str(count), "--mood", mood, *more]
    ports = ["--metrics-port", str(metrics), "--health-port", str(health)]
    with subprocess.Popen([*command, *ports], stdin=subprocess.PIPE) as process:  # noqa: S603 - our own program
        try:
            yield process
        finally:
            process.terminate()


def _let(server: PrometheusServer, seconds: float) -> None:
    """Let a scene go on for a while, and until there is something to see of it."""
    began = time.monotonic()
    wait_until(lambda: server.gives("up == 1"), within=_FIRST_SCRAPE, what="a first scrape")
    sys.stderr.write(f"scraped after {time.monotonic() - began:.0f} s\n")
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, within=seconds + 1, what="the end of a scene", every=0.5)


def draw(server: PrometheusServer, path: Path, title: str, *, row: str = "") -> None:
    """Draw the dashboard as it is now, or one of its closed rows opened."""
    import matplotlib as mpl  # noqa: PLC0415 - a second of start-up that only this needs

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    panels = json.loads(DASHBOARD.read_text())["panels"]
    if row:
        panels = next(each["panels"] for each in panels if each["title"] == row)
    first = min(panel["gridPos"]["y"] for panel in panels)
    panels = [{**each, "gridPos": {**each["gridPos"], "y": each["gridPos"]["y"] - first}} for each in panels]
    lines = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) + 1
    figure = plt.figure(figsize=(24 * _COLUMN, lines * _LINE), facecolor="#f4f5f5")
    figure.text(0.01, 1 - 0.5 / lines, title, va="center", fontsize=13, weight="bold")
    now = time.time()
    for panel in panels:
        place = panel["gridPos"]
        box = (
            (place["x"] + 0.15) / 24,
            1 - (place["y"] + place["h"] + 0.85) / lines,
            (place["w"] - 0.3) / 24,
            (place["h"] - 0.3) / lines,
        )
        _draw_panel(figure, box, panel, server, now)
    figure.savefig(path, dpi=70)
    plt.close(figure)
    sys.stderr.write(f"wrote {path.name}\n")


def _draw_panel(
    figure: Any, box: tuple[float, float, float, float], panel: Panel, server: PrometheusServer, now: float
) -> None:
    left, bottom, width, height = box
    if panel["type"] == "row":
        closed = f"  ({len(panel['panels'])} panels, closed)" if panel["collapsed"] else ""
        figure.text(left, bottom + height / 2, f"{'>' if closed else 'v'} {panel['title']}{closed}", va="center")
        return
    line = height / panel["gridPos"]["h"]
    frame = figure.add_axes(box, facecolor="white")
    frame.set_xticks([])
    frame.set_yticks([])
    for spine in frame.spines.values():
        spine.set_color("#d8d9da")
    on_colour = panel.get("options", {}).get("colorMode") == "background"
    figure.text(
        left + 0.004, bottom + height - 0.45 * line, panel["title"], va="center", fontsize=9, weight="bold",
        color="white" if on_colour else "black",
    )  # fmt: skip
    drawers = {
        "stat": _draw_stat, "bargauge": _draw_bars, "table": _draw_table, "timeseries": _draw_lines,
        "heatmap": _draw_heat,
    }  # fmt: skip
    inside = (left + 0.03, bottom + 1.6 * line, width - 0.04, height - 2.6 * line)
    drawers[panel["type"]](figure, frame, inside, panel, server, now)


def _now(panel: Panel, server: PrometheusServer, now: float) -> list[tuple[dict[str, str], float]]:
    """What the panel's queries give at this moment."""
    found: list[tuple[dict[str, str], float]] = []
    for target in panel["targets"]:
        result = server.query(_filled_in(target["expr"]), at=now)
        found += [(each["metric"], float(each["value"][1])) for each in result]
    return found


def _draw_stat(_figure: Any, frame: Any, _inside: Any, panel: Panel, server: PrometheusServer, now: float) -> None:
    values = _now(panel, server, now)
    defaults = panel["fieldConfig"]["defaults"]
    value = values[0][1] if values else None
    colour = _threshold_colour(value, defaults["thresholds"]["steps"])
    text = "no data" if value is None else _with_unit(value, defaults["unit"])
    for mapping in defaults["mappings"]:
        if value is not None and (option := mapping["options"].get(f"{value:.0f}")):
            text, colour = option["text"], _COLOURS.get(option["color"], option["color"])
    on_background = panel["options"]["colorMode"] == "background"
    if on_background:
        frame.set_facecolor(colour)
    size = 17 if on_background else 22 if len(text) < 10 else 12
    frame.text(
        0.5, 0.42, text, ha="center", va="center", fontsize=size, weight="bold",
        color="white" if on_background else colour, transform=frame.transAxes,
    )  # fmt: skip


def _draw_bars(_figure: Any, frame: Any, _inside: Any, panel: Panel, server: PrometheusServer, now: float) -> None:
    values = sorted(_now(panel, server, now), key=lambda each: -each[1])
    if not values:
        frame.text(0.5, 0.4, "nothing", ha="center", va="center", color="#8e8e8e", transform=frame.transAxes)
        return
    legend, most = panel["targets"][0]["legendFormat"], max(value for _, value in values) or 1.0
    step = 0.78 / max(len(values), 4)
    colour = _COLOURS[panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["color"]]
    for number, (labels, value) in enumerate(values):
        y = 0.80 - step * (number + 0.5)
        frame.barh(y, 0.55 * value / most, height=step * 0.6, left=0.34, color=colour)
        frame.text(0.33, y, _named(legend, labels), ha="right", va="center", fontsize=7)
        frame.text(0.35 + 0.55 * value / most, y, f" {value:,.0f}", va="center", fontsize=7)
    frame.set_xlim(0, 1)
    frame.set_ylim(0, 1)


def _draw_table(_figure: Any, frame: Any, _inside: Any, panel: Panel, server: PrometheusServer, now: float) -> None:
    names = panel["transformations"][1]["options"]["include"]["names"]
    renamed = panel["transformations"][2]["options"]["renameByName"]
    units = {each["matcher"]["options"]: each["properties"][0]["value"] for each in panel["fieldConfig"]["overrides"]}
    head = [renamed.get(name, name) for name in names]
    found = _merged(panel, server, now)
    rows = [
        [
            _with_unit(value, units.get(renamed.get(name, ""), "short")) if isinstance(value, float) else value
            for name in names
            for value in [row.get(name, "")]
        ]
        for row in found[:7]
    ]
    height = panel["gridPos"]["h"]
    for line, cells in enumerate([head, *rows]):
        for column, cell in enumerate(cells):
            frame.text(
                0.02 + column / len(cells), 1 - (1.3 + 0.84 * line) / height, cell, fontsize=7.5, va="center",
                weight="bold" if line == 0 else "normal", transform=frame.transAxes,
            )  # fmt: skip
    if not rows:
        frame.text(0.5, 0.4, "nothing", ha="center", va="center", color="#8e8e8e", transform=frame.transAxes)


def _merged(panel: Panel, server: PrometheusServer, now: float) -> list[dict[str, str | float]]:
    """The rows of a table: a value for each query, joined by labels; those with the most of the first come first."""
    rows: dict[frozenset[tuple[str, str]], dict[str, str | float]] = {}
    targets = panel["targets"]
    columns = ["Value"] if len(targets) == 1 else [f"Value #{target['refId']}" for target in targets]
    for column, target in zip(columns, targets, strict=True):
        for each in server.query(_filled_in(target["expr"]), at=now):
            row = rows.setdefault(frozenset(each["metric"].items()), dict(each["metric"]))
            row[column] = float(each["value"][1])
    return sorted(rows.values(), key=lambda row: -float(row.get(columns[0], 0.0)))


def _draw_lines(figure: Any, _frame: Any, inside: Any, panel: Panel, server: PrometheusServer, now: float) -> None:
    axes = figure.add_axes(inside, facecolor="white")
    defaults = panel["fieldConfig"]["defaults"]
    fixed = {
        each["matcher"]["options"]: each["properties"][0]["value"]["fixedColor"]
        for each in panel["fieldConfig"]["overrides"]
    }
    lines: list[tuple[str, dict[int, float]]] = []
    for target in panel["targets"]:
        for each in server.query_range(_filled_in(target["expr"]), now - _SPAN, now, _STEP):
            points = {round(float(at) - now): float(value) for at, value in each["values"]}
            lines.append((_named(target["legendFormat"], each["metric"]), points))
    below: dict[int, float] = {}
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    for number, (name, points) in enumerate(lines):
        colour = _COLOURS.get(fixed.get(name, ""), fixed.get(name, "") or _PALETTE[number % len(_PALETTE)])
        times = sorted(points)
        low = [below.get(at, 0.0) if stacked else 0.0 for at in times]
        high = [base + points[at] for base, at in zip(low, times, strict=True)]
        axes.plot(times, high, color=colour, linewidth=defaults["custom"]["lineWidth"])
        axes.fill_between(
            times, low, high, color=colour, alpha=defaults["custom"]["fillOpacity"] / 100, linewidth=0, label=name
        )
        if stacked:
            below.update(zip(times, high, strict=True))
    axes.set_xlim(-_SPAN, 0)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: _with_unit(value, defaults["unit"]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} s")
    axes.tick_params(labelsize=6.5)
    axes.grid(color="#e6e6e6", linewidth=0.5)
    if lines:
        legend = axes.legend(
            fontsize=6.5, loc="upper left", bbox_to_anchor=(0, -0.1), ncols=panel["gridPos"]["w"] // 3, frameon=False, borderaxespad=0,
        )  # fmt: skip
        for handle in legend.legend_handles:
            handle.set_alpha(1)
    else:
        axes.text(0.5, 0.5, "No data", ha="center", va="center", color="#8e8e8e", transform=axes.transAxes)


def _draw_heat(figure: Any, _frame: Any, inside: Any, panel: Panel, server: PrometheusServer, now: float) -> None:
    """Each bucket a line, darker where there is more in it than in the one before."""
    found = server.query_range(_filled_in(panel["targets"][0]["expr"]), now - _SPAN, now, 5)
    buckets = sorted(found, key=lambda each: float(each["metric"]["le"]))
    axes = figure.add_axes(inside, facecolor="white")
    if not buckets:
        return
    below = [0.0] * min(len(each["values"]) for each in buckets)
    lines = []
    for each in buckets:
        counts = [float(value) for _, value in each["values"]][-len(below) :]
        lines.append([count - low for count, low in zip(counts, below, strict=True)])
        below = counts
    axes.imshow(lines, cmap="Oranges", aspect="auto", origin="lower", extent=(-_SPAN, 0, 0, len(lines)))
    axes.set_yticks([number + 0.5 for number in range(len(lines))], [each["metric"]["le"] for each in buckets])
    axes.tick_params(labelsize=6)


def _filled_in(expression: str) -> str:
    """An expression as Grafana sends it with everything chosen."""
    for name, value in _FILLED_IN.items():
        expression = expression.replace(name, value)
    return expression


def _named(legend: str, labels: Mapping[str, str]) -> str:
    for name, value in labels.items():
        legend = legend.replace("{{" + name + "}}", value)
    return re.sub(r"\{\{\w+\}\}", "", legend)  # a label that there is not is nothing


def _threshold_colour(value: float | None, steps: Sequence[Mapping[str, Any]]) -> str:
    colour = "#8e8e8e"
    for step in steps:
        if value is not None and (step["value"] is None or value >= step["value"]):
            colour = _COLOURS[step["color"]]
    return colour


def _with_unit(value: float, unit: str) -> str:
    """A value as Grafana writes it, near enough."""
    if unit == "percentunit":
        return f"{value:.0%}" if abs(value) >= 0.1 or not value else f"{value:.1%}"
    if unit == "bytes":
        return f"{value / 2**20:,.0f} MiB"
    if unit == "s":
        for seconds, name in ((86400, "d"), (3600, "h"), (60, "min")):
            if abs(value) >= seconds:
                return f"{value / seconds:.1f} {name}"
        return f"{value:.3g} s"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.3g} K"
    return f"{value:,.4g}"


if __name__ == "__main__":
    sys.exit(main())
