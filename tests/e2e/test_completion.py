"""``vault-autoupdate completion``, in the shells themselves. zsh and fish are there after install-system-packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from workbench.ci import skip_unless_in_ci

_HERE: Final = Path(sys.executable).parent
_BASH: Final = """
source <(vault-autoupdate completion bash)
complete -p vault-autoupdate
COMP_WORDS=({words}) COMP_CWORD={last}
_vault_autoupdate_completion vault-autoupdate
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
_ZSH: Final = """
autoload -Uz compinit && compinit -u -d "$HOME/dump"
source <(vault-autoupdate completion zsh)
print -r -- $_comps[vault-autoupdate]
words=({words}) CURRENT={last}+1
compadd() {{ print -rl -- ${{(P)@[-1]}} }}
_describe() {{ print -rl -- ${{(P)@[-2]%%:*}} }}
_vault_autoupdate_completion
"""
_FISH: Final = """
vault-autoupdate completion fish | source
complete --do-complete "{line}"
"""


def _complete(shell: str, tmp_path: Path, *words: str) -> list[str]:
    """What the shell would offer for the last of the words."""
    if not shutil.which(shell):
        skip_unless_in_ci(f"{shell} is missing: tools/install-system-packages installs it")
    line = " ".join(words)
    script = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}[shell].format(
        words=" ".join(f"'{word}'" for word in words), last=len(words) - 1, line=line
    )
    environment = {"PATH": f"{_HERE}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "dumb"}
    flags = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run(
        [shell, *flags, "-c", script], env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [word.partition("\t")[0] for word in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_are_completed(shell: str, tmp_path: Path) -> None:
    offered = _complete(shell, tmp_path, "vault-autoupdate", "p")
    assert {"plan", "policy"} <= set(offered)
    assert "apply" not in offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_flags_and_their_choices_are_completed(shell: str, tmp_path: Path) -> None:
    assert "--automation-account" in _complete(shell, tmp_path, "vault-autoupdate", "doctor", "--au")
    assert {"json", "text"} <= set(_complete(shell, tmp_path, "vault-autoupdate", "plan", "--output", ""))


def test_a_shell_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    command = [str(_HERE / "vault-autoupdate"), "completion", "csh"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr
