"""Cases of alerts: short to write, made into what promtool wants, and varied as whatever happens to any alert would.

A file has a list of cases: ``case`` (what happens, in words), ``every`` (time between two samples), ``series`` (their
values in promtool's notation), and when the alert is ``firing`` and ``silent``. ``evaluated`` is the time between two
evaluations, where it is not that between the samples; ``labels`` are those of the alert when it fires first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from vault_autoupdate.metrics.spec_types import PREFIX
from workbench import documents

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_VALUE: Final = re.compile(r"(?P<first>_|-?[0-9.e]+)(?:(?P<step>[+-][0-9.e]+))?x(?P<count>\d+)")
_GONE: Final = ("stale",)
_MINUTE: Final = 60
_SLOWEST: Final = 300
"""Seconds between two scrapes, beyond which Prometheus takes series for gone."""
_OURS: Final = 'release=~"|ours"'
"""What the chart puts into every selector is such a matcher: a case without the label is about ours."""
_TAIL: Final = 160
"""Samples by which a case goes on after it has fired, with its last values."""
_PAUSE: Final = 120
"""Seconds without samples while a pod is replaced."""
_AGAIN: Final = 150
"""Samples after a restart within which an alert is to be back: it may have to wait as long as at first."""

__all__ = ["Case", "read_cases", "rule_file_of"]


@dataclass(frozen=True)
class Case:
    """One case of one alert."""

    alert: str
    words: str
    every: int
    """Seconds."""
    evaluated: int
    series: Mapping[str, tuple[str, ...]]
    """By selector: one value for each sample."""
    firing: tuple[int, ...] = ()
    """Seconds after the first sample."""
    silent: tuple[int, ...] = ()
    labels: Mapping[str, str] | None = None
    at_some_time: int = 0
    """Seconds: it is enough to have fired so long before the moments of ``firing``."""

    def document(self, rules: Path) -> dict[str, Any]:
        """The test as promtool reads it."""
        fired = f'ALERTS{{alertstate="firing",alertname="{self.alert}"}}'
        if self.at_some_time:
            fired = f"max_over_time({fired}[{self.at_some_time}s])"
        count = f"(count({fired}) or vector(0)) > bool 0"
        wanted = sorted([(at, 1) for at in self.firing] + [(at, 0) for at in self.silent])
        tests = [
            {"expr": count, "eval_time": f"{at}s", "exp_samples": [{"labels": "{}", "value": value}]}
            for at, value in wanted
        ]
        if self.labels is not None and self.firing:
            found = "".join(f',{name}="{value}"' for name, value in sorted(self.labels.items()))
            exact = f'ALERTS{{alertname="{self.alert}",alertstate="firing"{found}}}'
            expr = f'ALERTS{{alertstate="firing",alertname="{self.alert}"}}'
            at = f"{self.firing[0]}s"
            tests.append({"expr": expr, "eval_time": at, "exp_samples": [{"labels": exact, "value": 1}]})
        return {
            "rule_files": [str(rules)],
            "evaluation_interval": f"{self.evaluated}s",
            "tests": [
                {
                    "name": self.words,
                    "interval": f"{self.every}s",
                    "input_series": [
                        {"series": name, "values": " ".join(values)} for name, values in self.series.items()
                    ],
                    "promql_expr_test": tests,
                }
            ],
        }

    def variations(self) -> Iterator[Case]:
        """What may happen to the first time that it fires."""
        at, begin = self.firing[0], self._lengthened()
        resources = {
            match[0] for name in self.series if (match := re.search(r'namespace="[^"]*", ?name="[^"]*"', name))
        }
        in_cluster = {_labelled(name, 'cluster="b"'): values for name, values in self.series.items()}
        yield replace(self, words="in a cluster of its own", series=in_cluster, firing=(at,), silent=(), labels=None)
        others = {_with(name, 'release="theirs"'): ("1",) * len(values) for name, values in self.series.items()}
        both = {**self.series, **others}
        yield replace(self, words="beside another release", series=both, firing=(at,), silent=(), labels=None)
        unhonoured = {_unhonoured(name): values for name, values in self.series.items()}
        if unhonoured.keys() != self.series.keys():
            words = "with labels that are not honoured"
            yield replace(self, words=words, series=unhonoured, firing=(at,), silent=(), labels=None)
        if self.every <= _MINUTE:
            yield from (self._scraped_every(seconds, at, begin) for seconds in (2 * self.every, _SLOWEST))
        after = at // self.every + 1
        yield replace(
            self,
            words="restarted",
            series=dict(_restarted(begin, after, _PAUSE // self.every)),
            firing=((after + _AGAIN) * self.every,),
            silent=(),
            labels=None,
            at_some_time=_AGAIN * self.every - _PAUSE,
        )
        for resource in resources if len(resources) == 1 else ():
            gone = {name: (*values[:after], *_GONE) if resource in name else values for name, values in begin.items()}
            yield replace(self, words="deleted", series=gone, firing=(at,), silent=(at + 660,), labels=None)
            kind = "policy" if f"{PREFIX}_policy_" in " ".join(self.series) else "resource"
            others = {name: values for name, values in self.series.items() if "_suspended{" not in name}
            held = {**others, f"{PREFIX}_{kind}_suspended{{{resource}}}": ("1",) * len(next(iter(begin.values())))}
            yield replace(self, words="suspended", series=held, firing=(), silent=(at,), labels=None)

    def _scraped_every(self, seconds: int, at: int, series: Mapping[str, tuple[str, ...]]) -> Case:
        thin = {name: tuple(_thinned(values, seconds // self.every)) for name, values in series.items()}
        words = f"scraped every {seconds} s"
        return replace(self, words=words, series=thin, firing=(at + 2 * _SLOWEST,), silent=(), labels=None)

    def _lengthened(self) -> dict[str, tuple[str, ...]]:
        return {name: _lengthened(values) for name, values in self.series.items()}


def read_cases(path: Path) -> list[Case]:
    """The cases of one file, which is named after its alert."""
    return [
        Case(
            alert=path.stem,
            words=each["case"],
            every=_seconds(each["every"]),
            evaluated=_seconds(each.get("evaluated", each["every"])),
            series={name: tuple(_expanded(str(values))) for name, values in each["series"].items()},
            firing=tuple(_seconds(at) for at in each.get("firing", ())),
            silent=tuple(_seconds(at) for at in each.get("silent", ())),
            labels=each.get("labels"),
        )
        for each in yaml.load(path.read_text(), yaml.BaseLoader)  # 0x60 is no number here
    ]


def rule_file_of(rules: Path, alert: str, folder: Path) -> Path:
    """A rule file with one alert alone, so that its cases cost nothing for the others, about our release alone.

    What its group records for it is there as well.
    """
    groups: Sequence[Mapping[str, Any]] = documents.read(rules.read_text())["groups"]
    (group,) = (each["rules"] for each in groups if any(rule.get("alert") == alert for rule in each["rules"]))
    asked = " ".join(rule["expr"] for rule in group if rule.get("alert") == alert)
    wanted = [
        {**rule, "expr": re.sub(rf"({PREFIX}_\w+)\{{", rf"\1{{{_OURS},", rule["expr"])}
        for rule in group
        if rule.get("alert") == alert or f"{rule.get('record')}{{" in asked
    ]
    path = folder / f"{alert}.rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": alert, "rules": wanted}]}))
    return path


def _seconds(text: str) -> int:
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", str(text)))


def _expanded(values: str) -> Iterator[str]:
    """One value for each sample, from promtool's notation."""
    for part in values.split():
        if (match := _VALUE.fullmatch(part)) is None:
            yield part
        elif match["first"] == "_":
            yield from ("_",) * int(match["count"])
        else:
            first, step = float(match["first"]), float(match["step"] or 0)
            yield from (f"{first + step * n:g}" if step else match["first"] for n in range(int(match["count"]) + 1))


def _lengthened(values: tuple[str, ...]) -> tuple[str, ...]:
    """Goes on as it ended: a line that rose goes on rising."""
    if len(values) < 2 or values[-1] in {"_", "stale"} or values[-2] in {"_", "stale"}:
        return values
    step = float(values[-1]) - float(values[-2])
    return (*values, *(f"{float(values[-1]) + step * n:g}" for n in range(1, _TAIL + 1)))


def _restarted(
    series: Mapping[str, tuple[str, ...]], after: int, missing: int
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The same from another pod after a pause: what stands goes on, and what is counted begins anew."""
    for name, values in series.items():
        yield name, (*values[:after], *_GONE)
        later = values[after + missing :]
        if later and name.partition("{")[0].endswith(("_total", "_count", "_sum", "_bucket")):
            later = tuple(
                value if value in {"_", "stale"} else f"{float(value) - float(later[0]):g}" for value in later
            )
        yield _of_instance(name), ("_",) * (after + missing) + later


def _of_instance(selector: str) -> str:
    """The selector of the pod that comes next."""
    if 'instance="' in selector:
        return re.sub(r'instance="[^"]*"', 'instance="next"', selector)
    return _with(selector, 'instance="next"')


def _thinned(values: tuple[str, ...], nth: int) -> Iterator[str]:
    """What a scrape at every ``nth`` sample sees: of what has gone it hears at the next one."""
    gone = False
    for number, value in enumerate(values):
        gone = value == "stale" or (gone and value == "_")
        if number % nth == nth // 2:
            yield "stale" if gone else value
            gone = False
        else:
            yield "_"


def _unhonoured(selector: str) -> str:
    """The selector where the namespace of what is scraped is moved out of the way of that of the pod."""
    if "exported_namespace" in selector or ' name="' not in selector:
        return selector
    return selector.replace('namespace="', 'namespace="ops", exported_namespace="', 1)


def _labelled(selector: str, label: str) -> str:
    return selector if "cluster=" in selector else _with(selector, label)


def _with(selector: str, label: str) -> str:
    return selector.replace("{", f"{{{label}, ", 1) if "{" in selector else f"{selector}{{{label}}}"
