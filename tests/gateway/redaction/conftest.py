"""The shipped engine, once; a small set of rules for what is about processes and not about words."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gateway.categories import Category
from gateway.redaction import lean
from gateway.redaction.findings import Finding, Settled, Window
from gateway.redaction.plain import Plain
from gateway.redaction.segments import join, pieces

lean.install()

from gateway.redaction.engine import Engine  # noqa: E402  # only after `lean.install`
from tests.evaluate import rules  # noqa: E402


class InProcess:
    """An engine where a detector is asked for."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.asked: list[str] = []

    async def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """As the detector would, without its processes."""
        self.asked.extend(texts)
        found = []
        for text in texts:
            parts = pieces(text)
            found.append(join(parts, self.engine.find([text[part.start : part.end] for part in parts])))
        return found

    async def settle(self, windows: Sequence[Window]) -> list[Settled]:
        """As the detector would."""
        return self.engine.settle(windows)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine with the rules that ship."""
    return Engine(rules(), lambda path, reason: pytest.fail(f"{path}: {reason}"))


@pytest.fixture
def finds(engine: Engine) -> InProcess:
    """The shipped rules behind the detector's interface."""
    return InProcess(engine)


@pytest.fixture
def few() -> dict[str, Plain]:
    """One made-up word a category: `healthword`, `geneticword` ..."""
    return {category.value: one_word(category) for category in Category}


def one_word(category: Category) -> dict[str, Plain]:
    """Rules that know one word, told from all others."""
    word = category.value.split("_")[0].lower() + "word"
    return {
        "rules": [{"name": "word", "terms": [word]}],
        "examples": {"positive": [f"a [[{word}]] here"]},
    }
