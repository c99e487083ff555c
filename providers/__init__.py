"""Wire knowledge: pure functions and tables. No socket, no judgement, nothing of the gateway."""

from providers.anthropic import ANTHROPIC
from providers.openai import OPENAI
from providers.provider import Provider

PROVIDERS: dict[str, Provider] = {wire.name: wire for wire in (OPENAI, ANTHROPIC)}
"""The explicit table: every wire that this gateway speaks."""

__all__ = ["PROVIDERS"]
