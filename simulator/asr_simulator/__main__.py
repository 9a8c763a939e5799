"""Entry point of the ``asr-simulator`` command."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import ssl
import sys
import tempfile
from collections import Counter
from pathlib import Path

import click

from asr_simulator import Scenario, ScenarioError, __version__, create_app, load_scenario
from asr_simulator.clock import Clock
from asr_simulator.server import Tls, start, stop

USAGE_ERROR = 2

__all__ = ["USAGE_ERROR", "check", "main", "serve"]


@click.group()
@click.version_option(__version__, prog_name="asr-simulator")
def main() -> None:
    """Stand in for Azure Resource Manager and Site Recovery over real HTTP."""


_scenario_option = click.option(
    "--scenario",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="YAML file that says what exists and how it behaves.",
)


@main.command()
@_scenario_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free port.")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help='Write {"url", "port", "pid"} here once the port is open.',
)
@click.option(
    "--time-scale",
    type=click.FloatRange(min=0, min_open=True),
    help="Simulated seconds per real second, instead of the scenario's.",
)
@click.option(
    "--tls-cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Serve https with this certificate (PEM, with its chain if there is one); needs --tls-key.",
)
@click.option(
    "--tls-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Private key of the certificate (PEM, without a passphrase).",
)
@click.option(
    "--log-level",
    default="warning",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    help="Least severity that is logged to standard error.",
)
def serve(
    *,
    path: Path,
    host: str,
    port: int,
    ready_file: Path | None,
    time_scale: float | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    log_level: str,
) -> None:
    """Serve a scenario until SIGTERM or SIGINT."""
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    scenario = _load(path)
    if time_scale is not None:
        scenario = scenario.model_copy(update={"time_scale": time_scale})
    context = _tls(tls_cert, tls_key)
    try:
        asyncio.run(_serve(scenario, host, port, ready_file, context))
    except OSError as error:
        click.echo(f"cannot listen on {host}:{port}: {error.strerror}", err=True)
        sys.exit(1)


@main.command()
@_scenario_option
def check(path: Path) -> None:
    """Validate a scenario and sum it up."""
    scenario = _load(path)
    click.echo(f"time scale {scenario.time_scale:g}, seed {scenario.seed}")
    throttle = scenario.throttle
    click.echo(
        f"limits: writes {throttle.writes}, reads {throttle.reads}, "
        f"{'enforced' if throttle.enabled else 'counted only'}; "
        f"Resource Manager buckets {'on' if throttle.arm.enabled else 'off'}"
    )
    for spec in scenario.vaults:
        kinds = Counter(mapping.kind for mapping in spec.mappings)
        if spec.mix is not None:
            kinds.update(spec.mix.counts())
        listed = ", ".join(f"{count} {kind.value}" for kind, count in kinds.items() if count)
        click.echo(f"vault {spec.name} ({spec.location}): {kinds.total()} mappings: {listed or 'none'}")


def _load(path: Path) -> Scenario:
    try:
        return load_scenario(path)
    except ScenarioError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(USAGE_ERROR)


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise click.UsageError("--tls-cert and --tls-key go together")
    try:
        return Tls(certificate, key).context()
    except OSError as error:
        raise click.UsageError(f"cannot use {certificate} with {key}: {error}") from error


async def _serve(
    scenario: Scenario, host: str, port: int, ready_file: Path | None, context: ssl.SSLContext | None
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    runner, bound = await start(create_app(scenario, clock=Clock(scenario.time_scale)), host, port, context)
    try:
        url = f"{'http' if context is None else 'https'}://{host}:{bound}"
        if ready_file is not None:
            _write_atomically(ready_file, json.dumps({"url": url, "port": bound, "pid": os.getpid()}))
        click.echo(f"serving on {url}")
        await stopping.wait()
    finally:
        await stop(runner)


def _write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or nothing."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    Path(name).replace(path)


if __name__ == "__main__":
    main()
