"""``kubectl vau``: what it makes of the words that it is given, before any cluster is asked."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from vault_autoupdate.cli.kubectl_vau import main

NO_CLUSTER = "--kubeconfig=/not/there"


@pytest.mark.parametrize("command", ["now", "suspend", "resume", "why", "plan"])
@pytest.mark.parametrize("name", ["team-b/dr", "pods/dr", "vau/team-b/dr", "/dr/x"])
def test_a_name_behind_a_namespace_is_not_taken_for_one_of_the_namespace_at_hand(command: str, name: str) -> None:
    result = CliRunner().invoke(main, [command, name, NO_CLUSTER])

    assert (result.exit_code, "a namespace is named with -n" in result.stderr) == (2, True), result.output


@pytest.mark.parametrize("name", ["dr", "vau/dr", "vaultautoupdate/dr", "VaultAutoUpdates.asr.vault-autoupdate.io/dr"])
def test_a_name_may_have_the_kind_before_it_as_kubectl_prints_it(name: str) -> None:
    result = CliRunner().invoke(main, ["now", name, NO_CLUSTER])

    assert (result.exit_code, "no cluster to talk to" in result.stderr) == (1, True), result.output
