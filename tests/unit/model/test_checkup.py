from __future__ import annotations

import pytest

from vault_autoupdate.model.checkup import Permission, is_allowed

READ = "Microsoft.RecoveryServices/vaults/read"
WRITE = "Microsoft.RecoveryServices/vaults/write"


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        ("*", True),
        ("*/read", True),
        ("microsoft.recoveryservices/VAULTS/read", True),
        ("Microsoft.RecoveryServices/*", True),
        ("*/write", False),
        ("Microsoft.RecoveryServices/vaults", False),
        ("Microsoft.RecoveryServices/vault[s]/read", False),
    ],
)
def test_a_role_allows_what_its_patterns_match_in_any_letter_case(pattern: str, allowed: bool) -> None:
    assert is_allowed([Permission((pattern,), ())], READ) is allowed


def test_what_a_role_excludes_another_role_may_still_allow() -> None:
    all_but_writes = Permission(("*",), ("*/write",))
    assert not is_allowed([all_but_writes], WRITE)
    assert is_allowed([all_but_writes, Permission((WRITE,), ())], WRITE)


def test_nobody_without_a_role_is_allowed_anything() -> None:
    assert not is_allowed([], READ)
