"""A real Prometheus for tests: found by environment variable or on the path, run as a child process."""

from __future__ import annotations

import json
import os
import re
import shutil
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import yaml

from workbench import documents
from workbench.ci import skip_unless_in_ci
from workbench.process.children import ChildProcess
from workbench.process.ports import free_ports
from workbench.process.waiting import wait_until

HOW_TO_ENABLE: Final = (
    "run tools/install-system-packages (Debian, Ubuntu), or set PROMETHEUS and PROMTOOL to the two programs"
)

__all__ = ["HOW_TO_ENABLE", "PrometheusServer", "find_program", "require_program", "without_waiting"]


def find_program(name: str) -> str | None:
    """Path of ``prometheus`` or ``promtool``, or None. What the environment variable names must be there."""
    wanted = os.environ.get(name.upper())
    found = shutil.which(wanted or name)
    if wanted and found is None:
        raise FileNotFoundError(f"{name.upper()}={wanted} is no program")
    return found


def require_program(name: str) -> str:
    """Like `find_program`; skips the test where there is none, and fails it in CI."""
    if (found := find_program(name)) is None:
        skip_unless_in_ci(f"needs {name}: {HOW_TO_ENABLE}")
    return found


_LONGEST: Final = 60.0
"""Seconds for an answer about thousands of series on a busy machine."""
_SHRUNK: Final = (
    (r">= (7|31) \* 86400", ">= 2"),
    (r"offset 11m", "offset 5s"),
    (r"\[(5|11)m\](?=\))", "[5s]"),
    (r"\[30m:1m\](\)+) < 15", r"[10s:1s]\1 < 0"),  # of half an hour there is none
)
"""Spans of time in expressions, and what they are in a scenario that is over in two minutes."""


def without_waiting(rules: Path) -> dict[str, Any]:
    """The rules of a file, firing as soon as their expressions give something, with days as short as seconds."""
    document: dict[str, Any] = documents.read(rules.read_text())
    for group in document["groups"]:
        group["interval"] = "500ms"
        for rule in group["rules"]:
            for pattern, instead in _SHRUNK:
                rule["expr"] = re.sub(pattern, instead, rule["expr"])
            if "alert" in rule:
                rule["for"] = "0s"
    return document


class PrometheusServer:
    """A Prometheus that scrapes one target, twice a second if not told otherwise."""

    def __init__(
        self, program: str, work_dir: Path, *, target: str, rules: Mapping[str, Any], period: str = "500ms"
    ) -> None:
        (port,) = free_ports(1)
        work_dir.mkdir(parents=True, exist_ok=True)
        (work_dir / "rules.yaml").write_text(yaml.safe_dump(dict(rules)))
        address = urllib.parse.urlsplit(target)
        document = {
            "global": {"scrape_interval": period, "scrape_timeout": period, "evaluation_interval": period},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [
                {
                    "job_name": "vault-autoupdate",
                    "honor_labels": True,
                    "metrics_path": address.path,
                    "static_configs": [{"targets": [address.netloc]}],
                }
            ],
        }
        (work_dir / "prometheus.yaml").write_text(yaml.safe_dump(document))
        self.url = f"http://127.0.0.1:{port}"
        self._log = work_dir / "prometheus.log"
        self._command = [
            program,
            f"--config.file={work_dir / 'prometheus.yaml'}",
            f"--storage.tsdb.path={work_dir / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        self._process: ChildProcess | None = None

    def start(self) -> Self:
        """Start it, and return when it answers."""
        self._process = ChildProcess(self._command, log=self._log, name="prometheus", env={"TZ": "UTC"})
        wait_until(lambda: self.gives("vector(1)"), within=30, what=lambda: f"an answer:\n{self._log.read_text()}")
        return self

    def close(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()

    def query(self, expression: str, *, at: float | None = None) -> list[dict[str, Any]]:
        """What an expression gives at one time."""
        when = {} if at is None else {"time": str(at)}
        result: list[dict[str, Any]] = self._get("query", {"query": expression, **when})["result"]
        return result

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """What an expression gives over time."""
        parameters = {"query": expression, "start": str(start), "end": str(end), "step": str(step)}
        result: list[dict[str, Any]] = self._get("query_range", parameters)["result"]
        return result

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are active now."""
        alerts: list[dict[str, Any]] = self._get("alerts", {})["alerts"]
        return alerts

    def gives(self, expression: str) -> bool:
        """Whether an expression gives anything now; False while there is no answer."""
        assert self._process is not None
        self._process.check_alive()
        try:
            return bool(self.query(expression))
        except OSError:
            return False

    def _get(self, path: str, parameters: Mapping[str, str]) -> Any:
        request = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(request, timeout=_LONGEST) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code >= 500:
                raise
            raise ValueError(f"{parameters.get('query')}: {error.read().decode(errors='replace')}") from None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()
