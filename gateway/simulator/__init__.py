"""The simulated provider: both wires on loopback, scripted misbehaviour, and a witness of what arrived.

`make run` serves it, the tests fake nothing else. It is never part of a serving gateway: `serve`
does not import it. Shapes are those of the installed `openai` and `anthropic` types.
"""

from gateway.simulator.scenario import Fault, Scenario
from gateway.simulator.server import CREDENTIAL, Simulator
from gateway.simulator.witness import Arrival

__all__ = ["CREDENTIAL", "Arrival", "Fault", "Scenario", "Simulator"]
