"""What a release is made of: one version everywhere, and something to say about it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tools.release import NotReleasable, notes_of, set_version
from workbench.kube.resources import ROOT

_FILES = ("operator/vault_autoupdate/__init__.py", "charts/vault-autoupdate/Chart.yaml", "CHANGELOG.md")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in _FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_operator_chart_and_changelog_get_the_same_version(checkout: Path) -> None:
    unreleased = notes_of((checkout / "CHANGELOG.md").read_text(), "Unreleased")
    set_version(checkout, "7.8.9", "2031-02-03")

    assert '__version__ = "7.8.9"' in (checkout / _FILES[0]).read_text()
    chart = yaml.safe_load((checkout / _FILES[1]).read_text())
    assert (chart["version"], chart["appVersion"]) == ("7.8.9", "7.8.9")
    images = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
    assert [image["image"] for image in images] == ["ghcr.io/vault-autoupdate/vault-autoupdate:7.8.9"]
    changelog = (checkout / "CHANGELOG.md").read_text()
    assert "## [Unreleased]\n\n## [7.8.9] - 2031-02-03\n" in changelog
    assert notes_of(changelog, "7.8.9") == unreleased


def test_a_version_that_was_set_before_stays_as_it_is(checkout: Path) -> None:
    set_version(checkout, "7.8.9", "2031-02-03")
    before = (checkout / "CHANGELOG.md").read_text()
    set_version(checkout, "7.8.9", "2031-02-04")
    assert (checkout / "CHANGELOG.md").read_text() == before


@pytest.mark.parametrize("version", ["", "1.2", "v1.2.3", "1.2.3 ", "latest", "1.2.3+4"])
def test_what_is_no_version_is_refused(checkout: Path, version: str) -> None:
    with pytest.raises(NotReleasable, match="is no version"):
        set_version(checkout, version, "2031-02-03")


def test_a_version_about_which_there_is_nothing_to_say_is_refused(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [0.1.0]\n\n- The first.\n")
    with pytest.raises(NotReleasable, match="nothing about 7"):
        set_version(checkout, "7.8.9", "2031-02-03")
