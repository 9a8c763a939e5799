"""A stand-in for Azure Resource Manager and Site Recovery over real HTTP."""

from asr_simulator.clock import Clock, ManualTime
from asr_simulator.control_client import ControlClient, ControlRefusedError
from asr_simulator.scenario import Scenario, ScenarioError, load_scenario, parse_scenario
from asr_simulator.server import WORLD, SimulatorThread, Tls, create_app

__version__ = "0.1.0"

__all__ = [
    "WORLD",
    "Clock",
    "ControlClient",
    "ControlRefusedError",
    "ManualTime",
    "Scenario",
    "ScenarioError",
    "SimulatorThread",
    "Tls",
    "create_app",
    "load_scenario",
    "parse_scenario",
]
