"""Writes docs/configuration.md from the settings themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from vault_autoupdate.model.clouds import CLOUDS
from vault_autoupdate.settings import Settings, default_of, variable

PAGE: Final = Path(__file__).resolve().parents[2] / "docs/configuration.md"

_INTRODUCTION: Final = """# Configuration

<!-- Written by tools/docs_build/configuration.py from the settings themselves. Do not edit. -->

Each setting is a flag of `vault-autoupdate run`, and most are flags of `plan`, `apply`, `agents` and `update-agents` too;
each is an environment variable as well. Flags win. All of them are checked at start, and every mistake is listed at once
(exit code 2). Durations are written as Go writes them: `90s`, `0.5s`, `1h30m`.

| flag | variable | meaning | default |
| --- | --- | --- | --- |
"""
_CREDENTIALS: Final = """
## Credentials

`VAULT_AUTOUPDATE_CREDENTIAL` chooses a class of azure-identity; its own variables say the rest.

| mode | what it needs |
| --- | --- |
| `workload-identity` | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_FEDERATED_TOKEN_FILE` (the workload identity webhook sets them) |
| `managed-identity` | nothing on a machine with one identity; `AZURE_CLIENT_ID` where there are several |
| `client-secret` | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET` |
| `client-certificate` | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_CERTIFICATE_PATH` (and `AZURE_CLIENT_CERTIFICATE_PASSWORD`) |
| `azure-cli` | a session of `az login`; for the command line |
| `default` | whatever azure-identity's DefaultAzureCredential finds |

Resources may bring credentials of their own where `VAULT_AUTOUPDATE_RESOURCE_CREDENTIALS` lets them:
[security.md](security.md#credentials-per-namespace) says how.

## Namespaces and their vaults

`VAULT_AUTOUPDATE_VAULT_SCOPES` is a JSON object from namespaces, or patterns of them with `*`, to lists of scopes:

```json
{
  "team-a": ["/subscriptions/6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10/resourceGroups/rg-dr-weu"],
  "team-b-*": ["/subscriptions/0c7f7b2e-95a4-4ff5-b8ef-1b07f1ac2f11"],
  "platform": ["/"]
}
```

A scope is a subscription, a resource group, the id of a vault or of an Automation account, or `/` for everything. All
entries that fit a namespace count together; one that none fits may name nothing.
[security.md](security.md#which-namespace-may-name-which-vault) has the rules in full.

## Clouds

| cloud | ARM | write limit | read limit |
| --- | --- | --- | --- |
"""
_REST: Final = """
The limits are Site Recovery's (200 writes in any minute, 10,000 reads in any hour), together with those that ARM has
in the cloud. They hold for a subscription and region, or for a subscription where `budget-scope` says so or the
identity may not read the vault.

## Network

`HTTPS_PROXY`, `NO_PROXY` and `REQUESTS_CA_BUNDLE` are honoured. Plain http is only accepted for an ARM endpoint on this
machine itself. A token goes to the ARM endpoint and to no other host: redirects and links to elsewhere are not followed.
"""


def render() -> str:
    """The whole page."""
    rows = "".join(_row(name, info) for name, info in Settings.model_fields.items())
    clouds = "".join(
        f"| `{name}` | {cloud.arm_endpoint} | `{cloud.write_limit}` | `{cloud.read_limit}` |\n"
        for name, cloud in CLOUDS.items()
    )
    return _INTRODUCTION + rows + _CREDENTIALS + clouds + _REST


def _row(name: str, info: Any) -> str:
    default = default_of(name)
    shown = f"`{default}`" if default and default != "the cloud's" else default
    return f"| `--{name.replace('_', '-')}` | `{variable(name)}` | {info.description} | {shown} |\n"
