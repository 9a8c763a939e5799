"""Entry point: ``python -m vault_autoupdate`` and the ``vault-autoupdate`` command."""

from vault_autoupdate.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
