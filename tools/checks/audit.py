"""Asks a database about vulnerabilities of locked packages: ``python -m tools.checks.audit [--service osv]``.

What is asked about: what the operator installs, what the development environment adds, and the installer itself.
Exit code 0: all were looked up, and nothing was found but what ``audit_ignored.toml`` explains. 1: something was found.
3: it is not known, because the database could not be reached or does not know a package, which pip-audit calls clean.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
IGNORED: Final = ROOT / "tools/checks/audit_ignored.toml"
CLEAN, VULNERABLE, UNKNOWN = 0, 1, 3
_BIN: Final = Path(sys.executable).parent
_EXPORT: Final = ("export", "--quiet", "--frozen", "--no-emit-workspace")

__all__ = ["Verdict", "judge", "main", "read_ignored"]


@dataclass
class Verdict:
    """What a report says."""

    audited: int = 0
    unknown: list[str] = field(default_factory=list)
    """Packages that were not looked up, and why."""
    found: list[str] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)
    """Ids that were found but are explained."""

    @property
    def code(self) -> int:
        """Exit code: a finding counts even when something else is not known."""
        return VULNERABLE if self.found else UNKNOWN if self.unknown or not self.audited else CLEAN


def judge(report: Mapping[str, Any], ignored: Iterable[str]) -> Verdict:
    """Judge a report of pip-audit: a package that was skipped is not clean."""
    explained = set(ignored)
    verdict = Verdict()
    for package in report["dependencies"]:
        if "skip_reason" in package:
            verdict.unknown.append(f"{package['name']}: {package['skip_reason']}")
            continue
        verdict.audited += 1
        for vulnerability in package["vulns"]:
            known = explained & {vulnerability["id"], *vulnerability.get("aliases", ())}
            verdict.ignored |= known
            if not known:
                fixed = ", ".join(vulnerability.get("fix_versions", ())) or "no version"
                verdict.found.append(f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}")
    return verdict


def read_ignored(path: Path) -> dict[str, str]:
    """Read the ids that are explained, with their reasons.

    Raises:
        ValueError: one has no id or no reason.
    """
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("ignored", [])
    if any(not str(entry.get(key, "")).strip() for entry in entries for key in ("id", "reason")):
        raise ValueError(f"{path.name}: every entry needs an id and a reason")
    return {entry["id"]: entry["reason"] for entry in entries}


def main(arguments: list[str] | None = None) -> int:
    """Audit everything and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--service", choices=["pypi", "osv"], default="pypi", help="which database to ask")
    service = parser.parse_args(arguments).service
    ignored = read_ignored(IGNORED)
    codes, used = set(), set[str]()
    with tempfile.TemporaryDirectory() as directory:
        for name, path in _requirements(Path(directory)).items():
            report = _ask(path, service)
            verdict = (
                Verdict(unknown=["all: the database did not answer"]) if report is None else judge(report, ignored)
            )
            codes.add(verdict.code)
            used |= verdict.ignored
            _tell(name, verdict)
    if VULNERABLE not in codes and UNKNOWN in codes:
        print(
            "NOT AUDITED: whether these packages are vulnerable is not known. Run it where the database can be reached."
        )
        return UNKNOWN
    stale = sorted(ignored.keys() - used)
    for identifier in stale:
        print(f"{IGNORED.name}: {identifier} was not found, remove it")
    return VULNERABLE if VULNERABLE in codes or stale else CLEAN


def _requirements(directory: Path) -> dict[str, Path]:
    """Write the locked requirements, hashes included, by what they are for."""
    operator, development = directory / "operator.txt", directory / "development.txt"
    for path, options in ((operator, ("--no-default-groups",)), (development, ())):
        subprocess.run([_BIN / "uv", *_EXPORT, *options, "--output-file", path], check=True, cwd=ROOT)
    return {"operator": operator, "development environment": development, "installer": ROOT / "tools" / "uv.txt"}


def _ask(requirements: Path, service: str) -> dict[str, Any] | None:
    """Run pip-audit; None when it has no report, which is when the database did not answer."""
    command = [str(_BIN / "pip-audit"), "--requirement", str(requirements), "--require-hashes", "--disable-pip"]
    command += ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        print((done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1])
        return None
    return report


def _tell(name: str, verdict: Verdict) -> None:
    print(
        f"{name}: {verdict.audited} packages looked up, {len(verdict.unknown)} not; "
        f"{len(verdict.found)} vulnerabilities, {len(verdict.ignored)} more explained"
    )
    for line in verdict.found:
        print(f"  {line}")
    for line in verdict.unknown[:3]:
        print(f"  {line}")
    if len(verdict.unknown) > 3:
        print(f"  … and {len(verdict.unknown) - 3} more")


if __name__ == "__main__":
    sys.exit(main())
