"""Everything that the API server refuses, with the message that a person sees in the terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workbench.kube.kubectl import Kubectl
from workbench.kube.refusals import NO_DURATIONS, UNCHECKED, problems_of
from workbench.kube.resources import ACCOUNT, GROUP, SUBSCRIPTION, VAULT, manifest

_VAULT_FORM = "/subscriptions/<guid>/resourceGroups/<group>/providers/Microsoft.RecoveryServices/vaults/<name>"
_ACCOUNT_FORM = "/subscriptions/<guid>/resourceGroups/<group>/providers/Microsoft.Automation/automationAccounts/<name>"
_START = "must start with /subscriptions: copy the whole resource id from the properties page of the Azure portal"
_NO_GAPS = "must have no empty segments, no slash at the end and no white space"
_PAIRS = (
    "must be made of pairs of names and values, like /subscriptions/<guid>/resourceGroups/<group>: one of them is "
    "without its value"
)
_FOUR = "must have exactly four pairs of names and values: "
_GUID = "must have the subscription's GUID after /subscriptions/, not its name: see `az account show --query id`"
_GROUP = "must have resourceGroups/<group> after the subscription"
_NAMES = (
    "must have names of 1 to 90 letters, digits, hyphens, underscores, parentheses and periods (no period at the "
    "end): nothing else can be the name of a resource group or resource"
)
_VAULT_TYPE = "must be the id of a Recovery Services vault: the provider has to be Microsoft.RecoveryServices/vaults"
_ACCOUNT_TYPE = (
    "must be the id of an Automation account: the provider has to be Microsoft.Automation/automationAccounts"
)
_DURATION = "must be a duration of hours, minutes and seconds, such as 90m, 1h30m or 0.5h"
_OTHER_SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"


def _bad_ids(field: str, good: str, form: str, wrong_type: str) -> list[Any]:
    """Wrong ids for one of the two fields with an id, and the one message that each of them gets."""
    cases = {
        "does-not-start": (good.removeprefix("/subscriptions"), _START),
        "no-leading-slash": (good.removeprefix("/"), _START),
        "other-first-name": (good.replace("/subscriptions", "/subscriptionsX"), _START),
        "empty": ("", _START),
        "slash-at-the-end": (good + "/", _NO_GAPS),
        "empty-segment": (good.replace("/rg-dr-weu", "/"), _NO_GAPS),
        "white-space": (good + " ", _NO_GAPS),
        "name-without-value": (good.rpartition("/")[0], _PAIRS),
        "subscription-alone": (f"/subscriptions/{SUBSCRIPTION}", _FOUR + form),
        "three-pairs": (GROUP + "/providers/x", _FOUR + form),
        "five-pairs": (good + "/child/x", _FOUR + form),
        "subscription-name": (good.replace(SUBSCRIPTION, "production"), _GUID),
        "guid-too-short": (good.replace(SUBSCRIPTION, SUBSCRIPTION[:-1]), _GUID),
        "guid-with-a-letter-too-far": (good.replace(SUBSCRIPTION, "g" + SUBSCRIPTION[1:]), _GUID),
        "no-resource-group": (good.replace("resourceGroups", "groups"), _GROUP),
        "wrong-provider": (good.replace("Microsoft.", "Contoso."), wrong_type),
        "no-providers": (good.replace("/providers/", "/provider/"), wrong_type),
        "dots-for-a-name": (good.replace("rg-dr-weu", ".."), _NAMES),
        "name-that-is-no-name": (good + "?x=1", _NAMES),
        "percent": (good.replace("rg-dr-weu", "rg%2fdr"), _NAMES),
        "name-too-long": (good + 90 * "x", _NAMES),
    }
    return [
        pytest.param({field: text}, f'spec.{field}: Invalid value: "{text}": {message}', id=f"{field}-{name}")
        for name, (text, message) in cases.items()
    ]


def _bad_durations(field: str, short: str, short_message: str, long: str, long_message: str) -> list[Any]:
    cases = {f"garbage-{text or 'empty'}": (text, _DURATION) for text in NO_DURATIONS}
    cases |= {"too-short": (short, short_message), "too-long": (long, long_message)}
    return [
        pytest.param({field: text}, f'spec.{field}: Invalid value: "{text}": {message}', id=f"{field}-{name}")
        for name, (text, message) in cases.items()
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        *_bad_ids("vaultResourceId", VAULT, _VAULT_FORM, _VAULT_TYPE),
        *_bad_ids("automationAccountResourceId", ACCOUNT, _ACCOUNT_FORM, _ACCOUNT_TYPE),
        *_bad_durations(
            "interval",
            "4m59.9s",
            "must be at least 5m: looking more often uses up the vault's request limits",
            "168h0.1s",
            "must be at most 168h; to stop looking, set suspend to true",
        ),
        *_bad_durations(
            "jobTimeout", "59.9s", "must be at least 1m: Site Recovery needs that long for a job",
            "24h0.1s", "must be at most 24h",
        ),
        pytest.param(
            {"automationAccountResourceId": None},
            "spec.automationAccountResourceId: Required value: is required when autoUpdate is Enabled: give the id of "
            "the Automation account that runs the updates, in the vault's subscription",
            id="enabled-without-account",
        ),
        pytest.param(
            {"automationAccountResourceId": ACCOUNT.replace(SUBSCRIPTION, _OTHER_SUBSCRIPTION)},
            f"spec.automationAccountResourceId: Invalid value: must be in the subscription of the vault "
            f"({SUBSCRIPTION}): Site Recovery accepts no Automation account of another one",
            id="account-in-another-subscription",
        ),
        *(
            pytest.param(
                {"credential": credential},
                "spec.credential: Invalid value: must name exactly one of secretName and serviceAccountName; without "
                "spec.credential the operator's own identity is used",
                id=f"credential-of-{name}",
            )
            for name, credential in {"none": {}, "two": {"secretName": "a", "serviceAccountName": "b"}}.items()
        ),
        *(
            pytest.param(
                {"credential": {field: text}},
                f'spec.credential.{field}: Invalid value: "{text}": must be the name of a {kind}: lower case letters, '
                "digits, hyphens and periods",
                id=f"{field}-{text or 'empty'}",
            )
            for field, kind in (("secretName", "Secret"), ("serviceAccountName", "ServiceAccount"))
            for text in ("", "../a", "Azure", "a.")
        ),
        pytest.param(
            {"credential": {"secretName": 254 * "a"}},
            "spec.credential.secretName: Too long: may not be more than 253 bytes",
            id="secretName-too-long",
        ),
        pytest.param({"vaultResourceId": None}, "spec.vaultResourceId: Required value", id="no-vault"),
        pytest.param({"autoUpdate": None}, "spec.autoUpdate: Required value", id="no-setting"),
        pytest.param(
            {"autoUpdate": "enabled"},
            'spec.autoUpdate: Unsupported value: "enabled": supported values: "Enabled", "Disabled"',
            id="setting-in-lower-case",
        ),
        pytest.param(
            {"mode": "DryRun"},
            'spec.mode: Unsupported value: "DryRun": supported values: "Enforce", "Audit"',
            id="unknown-mode",
        ),
        pytest.param(
            {"deletionPolicy": "Delete"},
            'spec.deletionPolicy: Unsupported value: "Delete": supported values: "Retain", "Disable"',
            id="unknown-deletion-policy",
        ),
        pytest.param(
            {"suspend": "yes"},
            'spec.suspend: Invalid value: "string": spec.suspend in body must be of type boolean: "string"',
            id="suspend-is-no-boolean",
        ),
        pytest.param(
            {"automationAccountChecks": "no"},
            'spec.automationAccountChecks: Invalid value: "string": spec.automationAccountChecks in body must be of '
            'type boolean: "string"',
            id="checks-are-no-boolean",
        ),
        pytest.param(
            {"interval": 3600},
            'spec.interval: Invalid value: "integer": spec.interval in body must be of type string: "integer"',
            id="interval-is-a-number",
        ),
        pytest.param(
            {"vaultResourceId": VAULT + 400 * "x"}, "spec.vaultResourceId: Too long: may not be more than 512 bytes",
            id="vault-id-too-long",
        ),
        pytest.param(
            {"automationAccountResourceId": ACCOUNT + 400 * "x"},
            "spec.automationAccountResourceId: Too long: may not be more than 512 bytes",
            id="account-id-too-long",
        ),
        pytest.param(
            {"interval": 33 * "1"}, "spec.interval: Too long: may not be more than 32 bytes", id="interval-endless"
        ),
        pytest.param(
            {"jobTimeout": 33 * "1"}, "spec.jobTimeout: Too long: may not be more than 32 bytes",
            id="jobTimeout-endless",
        ),
    ],
)  # fmt: skip
def test_a_wrong_manifest_is_refused_with_one_message_that_says_what_to_do(
    kubectl: Kubectl, spec: dict[str, Any], message: str
) -> None:
    result = kubectl("apply", "-f", "-", stdin=json.dumps(manifest(**spec)))

    assert (result.code, result.stdout) == (1, "")
    assert problems_of(result) in ([message], [message, UNCHECKED])


def test_every_problem_is_named_at_once(kubectl: Kubectl) -> None:
    wrong = manifest(
        vaultResourceId=VAULT.replace(SUBSCRIPTION, "production").replace("Microsoft.", "Contoso."),
        automationAccountResourceId=ACCOUNT + "/",
        interval="1m",
        mode=None,
    )
    result = kubectl("apply", "-f", "-", stdin=json.dumps(wrong))

    assert [(line.split(":")[0], line.split('": ')[1]) for line in sorted(problems_of(result))] == [
        ("spec.automationAccountResourceId", _NO_GAPS),
        ("spec.interval", "must be at least 5m: looking more often uses up the vault's request limits"),
        ("spec.vaultResourceId", _VAULT_TYPE),
        ("spec.vaultResourceId", _GUID),
    ]


def test_a_manifest_without_spec_is_refused(kubectl: Kubectl) -> None:
    body = manifest()
    del body["spec"]

    result = kubectl("apply", "-f", "-", stdin=json.dumps(body))

    assert problems_of(result) == ["spec: Required value", UNCHECKED]


def test_an_unknown_field_is_refused(kubectl: Kubectl) -> None:
    result = kubectl("apply", "-f", "-", stdin=json.dumps(manifest(autoUpdates="Enabled")))

    assert result.code == 1
    assert 'strict decoding error: unknown field "spec.autoUpdates"' in result.stderr


@pytest.mark.parametrize(
    "changed",
    [VAULT.replace("vaults/dr-weu", "vaults/dr-neu"), VAULT.replace("resourceGroups", "resourcegroups")],
    ids=["another-vault", "another-spelling"],
)
def test_the_vault_cannot_be_changed(kubectl: Kubectl, changed: str) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps(manifest())).check()

    result = kubectl("apply", "-f", "-", stdin=json.dumps(manifest(vaultResourceId=changed)))

    sentence = "cannot be changed: delete this resource and create another one for the other vault"
    assert problems_of(result) == [f"spec.vaultResourceId: Forbidden: {sentence}"]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"vaultResourceId": VAULT.upper(), "automationAccountResourceId": ACCOUNT.lower()}, id="any-case"),
        pytest.param({"vaultResourceId": VAULT.replace("rg-dr-weu", "Rg_(1).é")}, id="every-character-of-names"),
        pytest.param({"vaultResourceId": VAULT.replace("vaults/dr-weu", "vaults/" + 90 * "x")}, id="longest-name"),
        pytest.param({"autoUpdate": "Disabled", "automationAccountResourceId": None}, id="disabled-without-account"),
        pytest.param({"autoUpdate": "Disabled"}, id="disabled-with-account"),
        pytest.param({"interval": "5m", "jobTimeout": "1m"}, id="shortest"),
        pytest.param({"interval": "168h", "jobTimeout": "24h"}, id="longest"),
        pytest.param({"interval": "0.5h", "jobTimeout": "1h30m15.5s"}, id="decimals"),
        pytest.param({"interval": "604800s", "jobTimeout": "86400000ms"}, id="small-units"),
        pytest.param({"credential": {"secretName": "azure-login.v2"}}, id="a-secret"),
        pytest.param({"credential": {"serviceAccountName": "dr"}}, id="a-service-account"),
        pytest.param({"automationAccountChecks": False}, id="no-checks-of-the-account"),
        pytest.param({"mode": "Audit", "suspend": True, "deletionPolicy": "Disable"}, id="every-choice"),
    ],
)
def test_a_right_manifest_is_accepted(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    result = kubectl("apply", "-f", "-", stdin=json.dumps(manifest(**spec)))

    assert (result.code, result.stdout) == (0, "vaultautoupdate.asr.vault-autoupdate.io/dr-weu created\n")
