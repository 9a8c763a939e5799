"""Runs the blocks of a page in a real shell, with stand-ins for all programs that write down how they were called.

So quotes, variables, substitutions, loops and documents within the text are what bash makes of them, and a variable
that the page never sets ends the run. Each page is run in a folder of its own that looks like the top of a checkout.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.pages.reading import PROGRAMS, Block
from workbench.kube.resources import ROOT

_SMALL: Final = (
    *("base64", "bash", "cat", "chmod", "cp", "cut", "env", "grep", "head", "ls", "mkdir", "mktemp", "mv"),
    *("sed", "sleep", "sort", "tail", "tr"),
)
"""Small programs that blocks may really use."""

_STAND_IN: Final = r"""#!/bin/bash
call=$(mktemp -d "$CALLS/XXXXXXXX")
printf '%s\0' "${0##*/}" "$@" > "$call/argv"
printf '%s %s' "$LINE" "$LANGUAGE" > "$call/place"
before=
index=0
for argument; do
  index=$((index + 1))
  case "$before" in
    --values | -f | --filename) if [ -f "$argument" ]; then cp "$argument" "$call/file.$index"; fi ;;
  esac
  if [ "$argument" = - ]; then cat > "$call/stdin"; fi
  before=$argument
done
case "$* " in
  *secretName*) echo login-certificate ;;
  *holderIdentity*) echo vault-autoupdate-6c9d5_0a1b2c3d ;;
  *VAULT_AUTOUPDATE_SHARD*) ;;
  *get\ deployment*name*|*LEASE_NAME*|*serviceAccountName*) echo vault-autoupdate ;;
  *issuer*) echo https://issuer.example/6f3b9f5e/ ;;
  *name\ ) echo pod/vault-autoupdate-6c9d5 ;;
  *Id*|*id\ *) echo 6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10 ;;
esac
"""

__all__ = ["Call", "checkout", "record"]


@dataclass(frozen=True)
class Call:
    """A program as a page calls it."""

    line: int
    """Of the page, where its block begins."""
    argv: tuple[str, ...]
    stdin: str | None = None
    """What it was given to read, where an argument says that it reads."""
    files: Mapping[int, str] | None = None
    """What stood in the files that it was given, by their place among the arguments."""
    mention: bool = False
    """Whether it stands within the text with words alone: then it names a command, and may leave out the rest."""

    @property
    def program(self) -> str:
        """The program's name."""
        return self.argv[0]

    @property
    def arguments(self) -> tuple[str, ...]:
        """What it was given."""
        return self.argv[1:]

    def __str__(self) -> str:
        return " ".join(self.argv)


def checkout(folder: Path) -> Path:
    """Make ``folder`` look like the top of a checkout; what is written there stays there."""
    folder.mkdir()
    for entry in ROOT.iterdir():
        if not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry)
    for name in ("vault.yaml", "vault-autoupdate.yaml"):
        shutil.copy(ROOT / "examples" / "vault-autoupdate.yaml", folder / name)
    shutil.copy(ROOT / "examples" / "policies" / "estate.yaml", folder / "policy.yaml")
    for name in ("server.crt", "server.key", "ca.crt", "login.pem", "before.json"):
        (folder / name).touch()
    return folder


def record(blocks: Sequence[Block], folder: Path, *, before: str = "") -> list[Call]:
    """Run what a page has people type, and return all calls of programs in their order.

    Args:
        blocks: of one page, with something put in for the placeholders.
        folder: an empty folder to be used.
        before: what the reader has typed before, on another page.

    Raises:
        AssertionError: the shell ended before the end, for example at a variable that has no value, or a program was
            called that is not known here.
    """
    calls, programs = folder / "calls", folder / "bin"
    for empty in (calls, programs):
        empty.mkdir()
    for name in _SMALL:
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    for name in PROGRAMS:
        (programs / name).write_text(_STAND_IN)
        (programs / name).chmod(0o755)
    (programs / "date").write_text("#!/bin/bash\necho 1795852800\n")  # always the same, so that calls can be compared
    (programs / "date").chmod(0o755)
    place = [f"LINE={block.line} LANGUAGE={block.language}\n{_one(block)}" for block in blocks]
    done = subprocess.run(
        [shutil.which("bash") or "/bin/bash", "-u", "-c", "\n".join([before, *place, "echo THE END"])],
        cwd=checkout(folder / "checkout"),
        env={"PATH": str(programs), "HOME": str(folder), "CALLS": str(calls), "LINE": "0", "LANGUAGE": "sh"},
        input="not-a-secret\n" * 10,  # for a page that asks for one
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    assert done.stdout.endswith("THE END\n"), done.stderr
    assert "not found" not in done.stderr, done.stderr
    made = sorted(calls.iterdir(), key=lambda call: (call / "argv").stat().st_mtime_ns)
    return [each for call in made for each in _with_the_one_inside(_read(call))]


def _one(block: Block) -> str:
    return f"( {block.text}\n)" if block.language == "inline" else f"export LINE LANGUAGE\n{block.text}"


def _with_the_one_inside(call: Call) -> list[Call]:
    """A call, and the one that it has run in a pod; a plugin of kubectl is a program of its own."""
    if call.argv[:2] == ("kubectl", "vau"):
        return [replace(call, argv=("kubectl-vau", *call.argv[2:]))]
    if call.program != "kubectl" or "exec" not in call.argv or "--" not in call.argv:
        return [call]
    end = call.argv.index("--")
    return [replace(call, argv=call.argv[:end]), replace(call, argv=call.argv[end + 1 :])]


def _read(call: Path) -> Call:
    argv = tuple((call / "argv").read_text().split("\0")[:-1])
    line, _, language = (call / "place").read_text().partition(" ")
    stdin = call / "stdin"
    return Call(
        line=int(line),
        argv=argv,
        stdin=stdin.read_text() if stdin.exists() else None,
        files={int(file.suffix[1:]): file.read_text() for file in sorted(call.glob("file.*"))},
        mention=language == "inline" and all(argument.replace("-", "").isalnum() for argument in argv[1:])
        and not any(argument.startswith("-") for argument in argv[1:]),
    )  # fmt: skip
