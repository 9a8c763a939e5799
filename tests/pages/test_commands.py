"""Every command of every page is one that its program takes.

The blocks of a page are run in one shell, in their order, with stand-ins that write down how they were called; then
each call is shown to the program itself: ``az`` to azure-cli's own parser, ``kubectl`` to a real API server (as a dry
run what would change something), ``helm`` to Helm's library with the values of the page, our own commands to their own
parser, ``make`` to make. One table fills the placeholders: `tests.pages.reading.PLACEHOLDERS`.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest

from tests.chart.helm import CHART, CLIENT_ID, TENANT_ID, Rendered, merged
from tests.pages import programs
from tests.pages.conftest import Pages, page_name
from tests.pages.reading import PAGES, PROGRAMS, Block, blocks, commands, filled
from tests.pages.recorder import Call, record
from workbench.azure import azure_cli
from workbench.ci import skip_unless_in_ci
from workbench.kube.certificates import Authority
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import ROOT

DEFINITIONS: Final = sorted((ROOT / "crds").glob("*.yaml"))
"""What ``kubectl explain`` says names commands, too."""
RUNBOOKS: Final = [page for page in PAGES if page.parent.name == "runbooks"]
every_page = pytest.mark.parametrize("page", PAGES, ids=page_name)


@pytest.fixture(scope="package")
def azure() -> None:
    """The real azure-cli is there; in CI it has to be."""
    if azure_cli.find_python() is None:
        skip_unless_in_ci(f"needs azure-cli: {azure_cli.HOW_TO_ENABLE}")


@pytest.mark.usefixtures("azure")
@pytest.mark.timeout(400)  # it has thousands of commands, and loads those of a service as a whole
def test_azure_cli_takes_every_az_command(pages: Pages) -> None:
    calls = [(page, call) for page in [*PAGES, *DEFINITIONS] for call in pages.calls(page, "az")]
    answers = azure_cli.complaints([_asked(call) for _, call in calls])
    wrong = [
        f"{page_name(page)}:{call.line}: {call}: {answer}"
        for (page, call), answer in zip(calls, answers, strict=True)
        if answer
    ]
    assert len(calls) > 20
    assert wrong == []


def _asked(call: Call) -> list[str]:
    return [*call.arguments, *(["--help"] if call.mention else [])]


_OF_THE_CLUSTER: Final = {"crd", "namespace", "nodes", "explain", "--raw", "plugin"}


@pytest.mark.parametrize("page", RUNBOOKS, ids=page_name)
def test_runbooks_say_which_namespace(page: Path, pages: Pages) -> None:
    """Who is called at night is in whatever namespace came last: a command without one answers about that one."""
    said = {"-n", "--namespace", "-A", "--all-namespaces"}
    calls = [call for call in pages.calls(page, "kubectl") if not call.mention]
    assert [str(call) for call in calls if not set(call.argv) & (said | _OF_THE_CLUSTER)] == []


@pytest.fixture(scope="package")
def answered() -> dict[Any, str | None]:
    """What kubectl has said already, by call."""
    return {}


@every_page
def test_a_real_api_server_takes_every_kubectl_command(
    page: Path, pages: Pages, cluster: ControlPlane, answered: dict[Any, str | None]
) -> None:
    def judged(call: Call) -> str | None:
        what = (call.argv, call.stdin, tuple((call.files or {}).items()))
        if what not in answered:  # many a page has the same commands
            answered[what] = programs.kubectl(call, cluster, pages.folder(page))
        return answered[what]

    assert _wrong(page, pages.calls(page, "kubectl"), judged) == []


@every_page
def test_helm_takes_every_helm_command_with_its_values(page: Path, pages: Pages) -> None:
    calls = pages.calls(page, "helm")
    assert _wrong(page, calls, lambda call: programs.helm(call, pages.folder(page))) == []


@every_page
def test_our_own_commands_are_as_they_are(page: Path, pages: Pages) -> None:
    calls = pages.calls(page, "vault-autoupdate", "kubectl-vau", "asr-simulator")
    assert _wrong(page, calls, lambda call: programs.click_command(call, pages.folder(page))) == []
    assert _wrong(page, pages.calls(page, "make"), programs.make) == []
    assert _wrong(page, pages.calls(page, "python"), programs.python) == []


WRONG_AZ: Final = {
    "aks update --name x --resource-group g --atach-acr r": "unrecognized arguments",
    "role assignment list --asignee x": "unrecognized arguments",
    "backup vault show --query id": "required",
    "automation account show --name a": "misspelled",  # of an extension, which a reader does not have
    "identity show --name x --resource-group g --query '{id'": "jmespath",
    "role definitoin update --help": "misspelled",
}


@pytest.fixture(scope="module")
def complaints(azure: None) -> dict[str, str | None]:
    """What azure-cli says about each of the wrong commands, asked at once: it takes a second to load."""
    return dict(zip(WRONG_AZ, azure_cli.complaints([shlex.split(wrong) for wrong in WRONG_AZ]), strict=True))


@pytest.mark.parametrize("wrong", WRONG_AZ)
def test_azure_cli_refuses_what_is_wrong(complaints: dict[str, str | None], wrong: str) -> None:
    assert WRONG_AZ[wrong] in (complaints[wrong] or "")


@pytest.mark.parametrize(
    "wrong",
    [
        "kubectl get vau --all-namespace",
        "kubectl get vaus",
        "kubectl get vau dr-weu -o jsonpath='{.status'",
        "kubectl annotate vau/dr-weu --overwrit x=y",
        """kubectl patch vau/dr-weu --type=merge -p '{"spec":{"mode":"Enforced"}}'""",
        "kubectl auth can-i update leases.coordination.k8s.io/x --as system:serviceaccount:dr:x",  # in no namespace
    ],
)
def test_a_real_api_server_refuses_what_is_wrong(wrong: str, cluster: ControlPlane, tmp_path: Path) -> None:
    (call,) = _recorded(wrong, tmp_path)
    assert programs.kubectl(call, cluster, tmp_path / "checkout")


@pytest.mark.parametrize(
    ("wrong", "judge"),
    [
        ("helm upgrade --install x charts/vault-autoupdate --create-namespce", programs.helm),
        ("helm upgrade x charts/vault-autoupdate --set azure.auth.mod=clientSecret", programs.helm),
        ("helm instal x charts/vault-autoupdate", programs.helm),
        ("vault-autoupdate plan vault.yaml --al", programs.click_command),
        ("vault-autoupdate plan no-such-file.yaml", programs.click_command),
        ("vault-autoupdate statsu", programs.click_command),
        ("make demoo", lambda call, _: programs.make(call)),
        ("amtool silence add alertname=x --durration=8h", lambda call, _: programs.amtool(call)),
        ("openssl x509 -noout -enddat", lambda call, _: programs.openssl(call, "")),
    ],
)
def test_a_misspelt_word_is_found(wrong: str, judge: Callable[[Call, Path], str | None], tmp_path: Path) -> None:
    (call,) = _recorded(wrong, tmp_path)
    assert judge(call, tmp_path / "checkout")


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("```sh\naz identity show --ids $NEVER_SET\n```", "NEVER_SET"),
        ("```sh\nkubctl get vau\n```", "kubctl"),
        ("```sh\nkubectl get vau 'dr-weu\n```", "unexpected EOF"),
    ],
)
def test_a_block_that_the_shell_cannot_run_is_found(page: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=said):
        record(list(commands(page)), tmp_path)


def test_a_placeholder_that_nobody_can_fill_is_found() -> None:
    with pytest.raises(KeyError, match="what is this"):
        list(commands("```sh\naz identity show --ids <what is this>\n```"))


def _recorded(command: str, tmp_path: Path) -> list[Call]:
    return record([Block(1, "sh", command)], tmp_path)


_NOTES: Final[dict[str, dict[str, Any]]] = {
    "workload identity": {},
    "projected token": {"azure": {"auth": {"tenantId": TENANT_ID, "workloadIdentity": {"projectedToken": True}}}},
    "another ServiceAccount": {"serviceAccount": {"create": False, "name": "mine"}},
    "identity of the nodes": {"azure": {"auth": {"mode": "managedIdentity", "clientId": ""}}},
    "an identity on the nodes": {"azure": {"auth": {"mode": "managedIdentity"}}},
    "secret": {"azure": {"auth": {"mode": "clientSecret", "tenantId": TENANT_ID, "secret": {"name": "login"}}}},
    "certificate": {
        "azure": {"auth": {"mode": "clientCertificate", "tenantId": TENANT_ID, "secret": {"name": "login"}}}
    },
}


def _notes(values: dict[str, Any]) -> list[Block]:
    """The commands of Helm's notes: paragraphs that begin with a program."""
    given = merged({"azure": {"auth": {"clientId": CLIENT_ID}}}, values)
    chart = helm_python.Chart.load(CHART)
    rendered = Rendered(chart.render(given, name="vault-autoupdate", namespace="vault-autoupdate", is_install=True))
    paragraphs = textwrap.dedent(rendered.notes.partition("\n1. ")[2]).split("\n\n")
    typed = [textwrap.dedent(each.strip("\n")) for each in paragraphs]
    return [Block(0, "sh", filled(each)) for each in typed if each.split()[:1] and each.split()[0] in PROGRAMS]


@pytest.mark.usefixtures("azure")
@pytest.mark.timeout(300)
def test_azure_cli_takes_the_commands_of_helms_notes(tmp_path: Path) -> None:
    calls = [
        call
        for number, values in enumerate(_NOTES.values())
        for call in record(_notes(values), _folder(tmp_path / str(number)))
        if call.program == "az"
    ]
    assert len(calls) > len(_NOTES)
    answers = azure_cli.complaints([call.arguments for call in calls])
    assert [f"{call}: {answer}" for call, answer in zip(calls, answers, strict=True) if answer] == []


@pytest.mark.parametrize("values", _NOTES.values(), ids=_NOTES)
def test_kubectl_and_helm_take_the_commands_of_helms_notes(
    values: dict[str, Any], cluster: ControlPlane, tmp_path: Path
) -> None:
    calls = record(_notes(values), _folder(tmp_path / "notes"))
    wrong = [
        f"{call}: {answer}"
        for call in calls
        if call.program == "kubectl" and "serviceaccount" not in call.argv
        if (answer := programs.kubectl(call, cluster, tmp_path / "notes" / "checkout"))
    ]
    assert len([call for call in calls if call.program == "kubectl"]) > 3
    assert wrong == []
    assert [
        call for call in calls if call.program == "helm" and programs.helm(call, tmp_path / "notes" / "checkout")
    ] == []


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@every_page
def test_certificates_are_read_as_written(page: Path, pages: Pages, tmp_path: Path) -> None:
    pair = Authority(tmp_path).server("a", ["localhost"])
    certificate = pair.certificate.read_text()
    assert _wrong(page, pages.calls(page, "openssl"), lambda call: programs.openssl(call, certificate)) == []


@every_page
def test_silences_and_openshift(page: Path, pages: Pages) -> None:
    assert _wrong(page, pages.calls(page, "amtool"), programs.amtool) == []
    assert _wrong(page, pages.calls(page, "oc"), programs.offline) == []


@every_page
def test_every_block_says_what_it_is(page: Path) -> None:
    known = {"sh", "console", "yaml", "json", "promql", "python", "text", "powershell"}
    assert [block for block in blocks(page.read_text()) if block.language not in known] == []


def _wrong(page: Path, calls: list[Call], judge: Callable[[Call], str | None]) -> list[str]:
    return [f"{page_name(page)}:{call.line}: {call}: {answer}" for call in calls if (answer := judge(call))]
