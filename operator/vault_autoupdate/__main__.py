"""Entry point: ``python -m vault_autoupdate`` and the ``vault-autoupdate`` command."""


def main() -> None:
    """Run the command line."""
