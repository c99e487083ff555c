"""Prompts of a given size: call transcripts, half of them French, each text new."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import cycle

_VOCABULARY = (
    "le client a demandé une offre détaillée avant vendredi parce que son équipe préfère décider très tôt "
    "d'accord je vous envoie ça dès demain évidemment le délai était trop long à l'été dernier où êtes-vous "
    "the customer said that the price is fine but the rollout needs more time and a clear owner on our side "
    "we could offer a pilot first then extend it after the quarter ends naïve café résumé façade coöperate "
    "qualité déjà réunion société prévu août forêt hôtel île cœur sœur bientôt peut-être voilà très bien "
    "pipeline objection follow-up decision budget renewal discount contract signature onboarding training"
)
_WORDS = _VOCABULARY.split()
_RARE = ("migraine", "syndicat", "dépression", "church", "diabète", "union", "grossesse", "élections")
_SPEAKERS = ("Amélie", "Jürgen", "Zoë", "Marc")
_TURN = 350


def transcript(size: int, source: random.Random) -> str:
    """A transcript of about `size` bytes in UTF-8. No sentence of it was made before."""
    lines: list[str] = []
    length = 0
    while length < size:
        words = source.choices(_WORDS, k=14)
        if source.random() < 0.05:
            words[7] = source.choice(_RARE)
        line = f"{source.choice(_SPEAKERS)}: {' '.join(words)}."
        lines.append(line)
        length += len(line.encode()) + 1
    return "\n".join(lines).encode()[:size].decode("utf-8", "ignore")


def prompt(model: str, size: int, source: random.Random, *, stream: bool = False) -> bytes:
    """A chat completion's body whose user message has `size` bytes."""
    return _asked(model, [transcript(size, source)], stream=stream)


def conversation(size: int, source: random.Random) -> list[str]:
    """What was said by turns, `size` bytes in all."""
    return [transcript(_TURN, source) for _ in range(0, size, _TURN)]


def continued(model: str, said: Sequence[str], source: random.Random) -> bytes:
    """A chat completion's body: all that was said, and one new turn."""
    return _asked(model, [*said, transcript(_TURN, source)])


def grown(model: str, said: str, source: random.Random) -> bytes:
    """A chat completion's body: a text that was sent before, and a new turn in it."""
    return _asked(model, [f"{said}\n{transcript(_TURN, source)}"])


def _asked(model: str, said: Sequence[str], *, stream: bool = False) -> bytes:
    messages = [{"role": "system", "content": "You coach sales people. Be brief."}]
    messages += ({"role": role, "content": text} for role, text in zip(cycle(("user", "assistant")), said))
    document: dict[str, object] = {"model": model, "messages": messages}
    if stream:
        document["stream"] = True
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
