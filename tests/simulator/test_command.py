"""The command, and the simulator in a thread."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner

import asr_simulator
from asr_simulator import WORLD, ControlClient, SimulatorThread, create_app
from asr_simulator.__main__ import main
from tests.simulator.helpers import scenario, vault
from workbench.kube.certificates import Authority
from workbench.process.children import ChildProcess


@pytest.fixture
def scenario_file(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump({"vaults": [vault(mix={"disabled": 2})]}), encoding="utf-8")
    return path


@contextmanager
def _serving(path: Path, ready: Path, *more: str) -> Iterator[ChildProcess]:
    command = [
        sys.executable,
        "-m",
        "asr_simulator",
        "serve",
        "--scenario",
        str(path),
        "--ready-file",
        str(ready),
        *more,
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(asr_simulator.__file__).parents[1])}
    output, errors = ready.with_suffix(".output"), ready.with_suffix(".errors")
    with ChildProcess(command, log=output, errors=errors, env=environment) as process:
        yield process
    assert errors.read_text() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_tells_where_it_is_and_stops_cleanly(scenario_file: Path, tmp_path: Path, number: signal.Signals) -> None:
    ready = tmp_path / "ready.json"
    with _serving(scenario_file, ready, "--time-scale", "5") as process:
        line = process.wait_for_log("serving on", within=20)
        info = json.loads(ready.read_text(encoding="utf-8"))
        assert line == f"serving on {info['url']}"
        assert info["pid"] == process.pid
        assert info["url"].endswith(f":{info['port']}")
        with urllib.request.urlopen(f"{info['url']}/_simulator/state") as answer:
            assert json.load(answer)["time_scale"] == 5
        process.send_signal(number)
        assert process.wait(within=10) == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_serve_speaks_tls_with_a_certificate(scenario_file: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    authority = Authority(tmp_path / "certificates")
    pair = authority.server("simulator", ["127.0.0.1"])
    arguments = ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key))
    with _serving(scenario_file, ready, *arguments) as process:
        process.wait_for_log("serving on", within=20)
        url = json.loads(ready.read_text(encoding="utf-8"))["url"]
        assert url.startswith("https://127.0.0.1:")
        assert ControlClient(url, certificate=pair.certificate).state()["requests"] == 0
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            ControlClient(url, certificate=authority.server("other", ["127.0.0.1"]).certificate).state()
        process.send_signal(signal.SIGTERM)
        assert process.wait(within=10) == 0


def test_a_certificate_without_its_key_is_refused(scenario_file: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "certificates")
    pair, other = (authority.server(name, ["127.0.0.1"]) for name in ("one", "two"))
    command = ["serve", "--scenario", str(scenario_file), "--tls-cert", str(pair.certificate)]
    for arguments, complaint in [([], "go together"), (["--tls-key", str(other.key)], "cannot use")]:
        result = CliRunner().invoke(main, [*command, *arguments])
        assert result.exit_code == 2
        assert complaint in result.stderr


def test_a_taken_port_is_told_plainly(scenario_file: Path) -> None:
    with SimulatorThread(scenario()) as sim:
        result = CliRunner().invoke(main, ["serve", "--scenario", str(scenario_file), "--port", str(sim.port)])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"cannot listen on 127.0.0.1:{sim.port}: ")


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_bad_scenario_is_told_in_full(tmp_path: Path, command: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("seed: much\nvaults: []\n", encoding="utf-8")
    result = CliRunner().invoke(main, [command, "--scenario", str(path)])
    assert result.exit_code == 2
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["seed", "vaults"]


def test_check_sums_a_scenario_up(scenario_file: Path) -> None:
    result = CliRunner().invoke(main, ["check", "--scenario", str(scenario_file)])
    assert result.exit_code == 0
    assert "vault dr-vault (westeurope): 5 mappings: 5 disabled" in result.stdout
    assert "writes 200/60s, reads 10000/3600s, enforced" in result.stdout


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"asr-simulator, version {asr_simulator.__version__}\n"


def test_a_thread_starts_fast_with_many_mappings() -> None:
    of = scenario(vault(mappings=[], mix={"disabled": 5_000}))
    took = []
    for _ in range(3):  # the best of three: threads of other tests, and the collector, count here too
        begin = time.process_time()
        with SimulatorThread(of) as sim:
            took.append(time.process_time() - begin)
            assert sim.control.state()["vaults"][0]["total"] == 5_000
    assert min(took) < 0.5


def test_a_thread_can_be_stopped_twice() -> None:
    sim = SimulatorThread(scenario()).start()
    sim.stop()
    sim.stop()


def test_a_thread_goes_on_where_it_was_after_an_outage() -> None:
    with SimulatorThread(scenario()) as sim:
        url, removed = sim.url, sim.control.remove_mappings(count=1)
        sim.stop()
        with pytest.raises(urllib.error.URLError):
            sim.control.state()
        sim.start()
        assert sim.url == url
        assert removed[0] not in {item["name"] for item in sim.control.mappings()}


def test_a_thread_that_cannot_start_leaves_nothing_behind() -> None:
    with SimulatorThread(scenario()) as sim:
        before = threading.active_count()
        with pytest.raises(OSError, match="in use"):
            SimulatorThread(scenario(), port=sim.port).start()
        assert threading.active_count() == before


def test_the_environment_for_a_managed_identity_is_at_hand() -> None:
    with SimulatorThread(scenario()) as sim:
        assert sim.identity_env == {"IDENTITY_ENDPOINT": f"{sim.url}/msi/token", "IDENTITY_HEADER": "asr-simulator"}


async def test_the_application_can_be_embedded_in_a_loop() -> None:
    app = create_app(scenario())
    async with TestClient(TestServer(app)) as client:
        answers = await asyncio.gather(*(client.get("/_simulator/state") for _ in range(5)))
        assert {answer.status for answer in answers} == {200}
    assert len(app[WORLD].vaults) == 1
