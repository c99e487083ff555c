"""The shipped engine, once; a small set of rules for what is about processes and not about words."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import pytest

from gateway.categories import Category
from gateway.redaction import lean
from gateway.redaction.findings import Finding
from gateway.redaction.home import folder
from gateway.redaction.plain import Plain

lean.install()

from gateway.redaction.engine import Engine  # noqa: E402  # only after `lean.install`
from gateway.redaction.inprocess import InProcess as Shipped  # noqa: E402
from tests.evaluate import rules  # noqa: E402


class InProcess(Shipped):
    """An engine where a detector is asked for, which remembers what it was asked."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.asked: list[str] = []

    async def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """As the detector would, without its processes."""
        self.asked.extend(texts)
        return await super().find(texts)


@functools.cache
def shipped() -> Engine:
    """The engine with the rules that ship: one a process, since it costs seconds to read, and more to get going."""
    return Engine(rules(), lambda path, reason: pytest.fail(f"{path}: {reason}"), folder(), terms=True)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine with the rules that ship."""
    return shipped()


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
