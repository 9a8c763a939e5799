"""What stands in the pages: the blocks of code with their language, and the commands within the text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from workbench.kube.resources import ROOT

PAGES: Final = [
    ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md")), ROOT / "charts" / "vault-autoupdate" / "README.md",
]  # fmt: skip
"""All pages that tell people what to type."""

_GROUP: Final = "/subscriptions/6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10/resourceGroups/rg-dr-weu"
PLACEHOLDERS: Final = {
    "FILE": "vault.yaml",
    "MODULE": "plan",
    "NAME": "weu",
    "NAMESPACE": "dr",
    "SUBSCRIPTION": "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10",
    "<address>": "https://aks-dr-weu.hcp.westeurope.azmk8s.io",
    "<client id>": "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10",
    "<client secret>": "not-a-secret",
    "<cluster>": "aks-dr",
    "<file with certificate and private key>": "login.pem",
    "<group>": "rg-dr-weu",
    "<guid>": "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10",
    "<hash>": "3f2a9c",
    "<identity>": "vault-autoupdate",
    "<its resource group>": "rg-aks",
    "<name of the Automation account>": "aa-dr-weu",
    "<name of the vault>": "dr-weu",
    "<name>": "weu",
    "<namespace>": "dr",
    "<node resource group>": "MC_rg-aks_aks-dr_westeurope",
    "<object id of the identity>": "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10",
    "<region>": "westeurope",
    "<registry>": "drweu",
    "<resource group of the identity>": "rg-dr-weu",
    "<resource group of the vault>": "rg-dr-weu",
    "<resource id>": f"{_GROUP}/providers/Microsoft.RecoveryServices/vaults/dr-weu",
    "<resource id of the Automation account>": f"{_GROUP}/providers/Microsoft.Automation/automationAccounts/aa-dr-weu",
    "<resource id of the identity>": f"{_GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/vau",
    "<resource id of the vault>": f"{_GROUP}/providers/Microsoft.RecoveryServices/vaults/dr-weu",
    "<resource id of the mapping>": f"{_GROUP}/providers/Microsoft.RecoveryServices/vaults/dr-weu/m",
    "<scale set of the nodes>": "aks-nodepool1-12345678-vmss",
    "<subscription id>": "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10",
    "<tenant id>": "0c7f7b2e-95a4-4ff5-b8ef-1b07f1ac2f11",
}
"""What a reader puts in for the words that the pages have for it; one that is not here fails the page's test."""

PROGRAMS: Final = frozenset(
    {
        "amtool", "asr-simulator", "az", "helm", "kubectl", "kubectl-vau", "make", "oc", "openssl", "pip", "python",
        "vault-autoupdate",
    }
)  # fmt: skip
"""What the pages have people run, but for the shell's own small programs."""

_FENCE: Final = re.compile(r"^( *)```([a-z]*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_UPPER: Final = re.compile(r"(?<![\w$\"{<-])(FILE|MODULE|NAME|NAMESPACE|SUBSCRIPTION)(?![\w=}])")
_ANGLE: Final = re.compile(r"<[a-z][A-Za-z ]*>")

__all__ = ["PAGES", "PLACEHOLDERS", "PROGRAMS", "Block", "blocks", "commands", "filled", "inline", "scripts"]


@dataclass(frozen=True)
class Block:
    """A block of code, or one command within the text."""

    line: int
    """Of the page, where it begins; from 1."""
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    return [
        Block(page.count("\n", 0, match.start()) + 1, match[2], textwrap.dedent(match[3]))
        for match in _FENCE.finditer(page)
    ]


def inline(page: str) -> list[Block]:
    """The commands within the text of a page: code that begins with one of the programs, and something after it."""
    text = _FENCE.sub(lambda fence: re.sub(r"[^\n]", " ", fence[0]), page)
    return [
        Block(text.count("\n", 0, match.start()) + 1, "inline", " ".join(match[1].split()))
        for match in _CODE.finditer(text)
        if match[1].split()[:1] and match[1].split()[0] in PROGRAMS and len(match[1].split()) > 1
    ]


def scripts(page: str) -> list[Block]:
    """What a page has people type, in its order: of a ``console`` block what stands behind the prompt."""
    typed = [block for block in blocks(page) if block.language in {"sh", "console"}]
    return [
        Block(block.line, block.language, _typed(block.text) if block.language == "console" else block.text)
        for block in typed
    ]


def commands(page: str) -> Iterator[Block]:
    """All that a page has people type, with what a reader puts in for the placeholders."""
    for block in [*scripts(page), *inline(page)]:
        yield Block(block.line, block.language, filled(block.text))


def filled(text: str) -> str:
    """``text`` with something for each placeholder.

    Raises:
        KeyError: a placeholder that `PLACEHOLDERS` does not have.
    """
    return _UPPER.sub(lambda match: PLACEHOLDERS[match[0]], _ANGLE.sub(lambda match: PLACEHOLDERS[match[0]], text))


def _typed(text: str) -> str:
    return "".join(f"{line[2:]}\n" for line in text.splitlines() if line.startswith("$ "))
