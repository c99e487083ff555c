"""Wire knowledge: pure functions and tables. No socket, no judgement, nothing of the gateway."""

from providers.anthropic import ANTHROPIC
from providers.anthropic_usage import ANTHROPIC_USAGE
from providers.openai import OPENAI
from providers.openai_usage import OPENAI_USAGE
from providers.provider import Provider
from providers.usage import UsageReport

PROVIDERS: dict[str, Provider] = {wire.name: wire for wire in (OPENAI, ANTHROPIC)}
"""The explicit table: every wire that this gateway speaks."""

USAGE: dict[str, UsageReport] = {OPENAI.name: OPENAI_USAGE, ANTHROPIC.name: ANTHROPIC_USAGE}
"""How each of them reports what was used, by the name of the wire."""

__all__ = ["PROVIDERS", "USAGE"]
