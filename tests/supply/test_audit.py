"""The audit: what was not looked up is not clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tools.checks import audit

_FINE: dict[str, Any] = {"name": "fine", "version": "1", "vulns": []}
_SKIPPED: dict[str, Any] = {"name": "absent", "skip_reason": "not found"}
_BAD: dict[str, Any] = {
    "name": "bad",
    "version": "2",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["3"], "description": "d"}],
}


@pytest.mark.parametrize(
    ("packages", "ignored", "code"),
    [
        ([_FINE], [], audit.CLEAN),
        ([_FINE, _BAD], [], audit.VULNERABLE),
        ([_FINE, _BAD], ["PYSEC-1"], audit.CLEAN),
        ([_FINE, _BAD], ["CVE-1"], audit.CLEAN),
        ([_FINE, _BAD], ["CVE-2"], audit.VULNERABLE),
        ([_FINE, _SKIPPED], [], audit.UNKNOWN),
        ([_BAD, _SKIPPED], [], audit.VULNERABLE),
        ([], [], audit.UNKNOWN),
    ],
)
def test_a_report_is_judged(packages: list[dict[str, Any]], ignored: list[str], code: int) -> None:
    assert audit.judge({"dependencies": packages}, ignored).code == code


def test_a_finding_names_package_id_and_cure() -> None:
    assert audit.judge({"dependencies": [_BAD]}, []).found == ["bad 2: PYSEC-1, fixed in 3"]


class Case(NamedTuple):
    """What pip-audit finds, what is explained, and what comes of it."""

    reports: list[list[dict[str, Any]] | None]
    ignored: str
    code: int
    told: str


@pytest.mark.parametrize(
    "case",
    [
        Case([[_FINE], [_FINE], [_FINE]], "", audit.CLEAN, "1 packages looked up, 0 not"),
        Case([[_FINE], [_BAD], [_FINE]], "", audit.VULNERABLE, "bad 2: PYSEC-1"),
        Case([[_FINE], [_BAD], [_FINE]], "PYSEC-1", audit.CLEAN, "1 more explained"),
        Case([[_FINE], [_FINE], [_FINE]], "PYSEC-1", audit.VULNERABLE, "PYSEC-1 was not found, remove it"),
        Case([[_FINE], None, [_FINE]], "", audit.UNKNOWN, "NOT AUDITED"),
        Case([[_FINE], [_SKIPPED], [_FINE]], "PYSEC-1", audit.UNKNOWN, "NOT AUDITED"),
        Case([None, [_BAD], [_FINE]], "", audit.VULNERABLE, "the database did not answer"),
    ],
)
def test_the_exit_code_and_the_text_say_how_it_went(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: Case
) -> None:
    path = tmp_path / "ignored.toml"
    path.write_text(f'[[ignored]]\nid = "{case.ignored}"\nreason = "r"\n' if case.ignored else "")
    reports = iter(case.reports)
    monkeypatch.setattr(audit, "IGNORED", path)
    monkeypatch.setattr(audit, "_ask", lambda *_: None if (found := next(reports)) is None else {"dependencies": found})
    assert audit.main([]) == case.code
    assert case.told in capsys.readouterr().out


def test_what_is_asked_about_is_locked_with_hashes(tmp_path: Path) -> None:
    """The operator's packages, the development environment's, which has them all, and the installer."""
    names = {}
    for what, path in audit._requirements(tmp_path).items():
        blocks = [block for block in path.read_text().replace("\\\n", " ").splitlines() if "==" in block]
        assert all("--hash=sha256:" in block for block in blocks)
        names[what] = {block.partition("==")[0] for block in blocks}
    assert names["operator"] >= {"kopf", "requests", "azure-identity"}
    assert names["development environment"] > names["operator"]
    assert "pytest" not in names["operator"]
    assert names["installer"] == {"uv"}


def test_every_exception_has_a_reason() -> None:
    audit.read_ignored(audit.IGNORED)


@pytest.mark.parametrize("text", ['[[ignored]]\nid = "X"\n', '[[ignored]]\nid = "X"\nreason = " "\n', "[[ignored]]\n"])
def test_an_exception_without_a_reason_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ignored.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match="needs an id and a reason"):
        audit.read_ignored(path)
