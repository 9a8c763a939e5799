"""Entry point of the ``asr-simulator`` command."""


def main() -> None:
    """Run the simulator."""
