"""What a decision about a mapping is called: the same in the status, in the metrics and on the command line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from vault_autoupdate.decide.plan import Action

__all__ = ["MAPPING_STATES", "MAPPING_WORDS", "MappingWords", "by_state"]


class MappingWords(NamedTuple):
    """The words for an action."""

    state: str
    """Under which mappings are counted."""
    meaning: str
    """For who reads a plan."""


MAPPING_WORDS: Final[Mapping[Action, MappingWords]] = MappingProxyType(
    {
        Action.KEEP: MappingWords("compliant", "as declared"),
        Action.PATCH: MappingWords("drifted", "to change"),
        Action.REPAIR: MappingWords("drifted", "to repair"),
        Action.TRACK: MappingWords("updating", "under way"),
        Action.WAIT: MappingWords("failed", "failed, waits for its next try"),
        Action.IGNORE: MappingWords("ignored", "ignored: it cannot have auto-update"),
    }
)
MAPPING_STATES: Final = tuple(dict.fromkeys(words.state for words in MAPPING_WORDS.values()))


def by_state(counts: Mapping[Action, int]) -> dict[str, int]:
    """How many mappings are in each state."""
    found = dict.fromkeys(MAPPING_STATES, 0)
    for action, count in counts.items():
        found[MAPPING_WORDS[action].state] += count
    return found
