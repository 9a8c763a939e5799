"""A stand-in for Azure Resource Manager and Site Recovery over real HTTP."""

from .clock import Clock, ManualTime
from .control_client import ControlClient, ControlRefusedError
from .scenario import Scenario, ScenarioError, load_scenario, parse_scenario
from .server import WORLD, SimulatorThread, Tls, create_app

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
