"""Presidio without what it only *can* use: no spaCy, no model, no download, no suffix list from the net.

Presidio imports spaCy, thinc and their friends at the top of its modules, 60 MB and more than a second,
and its defaults fetch a model when there is none. The shipped profile uses none of that. `install()`
answers those imports with empty modules, so that what is not needed is not merely unused but absent:
nothing in the process could load a model or fetch one. It is called in the detector's own processes
(and the `redact` verb), before the first import of Presidio; an operator's engine that needs spaCy
leaves it out. Presidio's own recognisers, and with them the libraries that validate their configuration and fetch
lists for them, come in only where ordinary personal data is looked for: they are half of what Presidio loads.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TypeVar

_T = TypeVar("_T")

_EMPTY = frozenset({"spacy", "thinc"})  # imported without condition, for annotations and base classes
_PREDEFINED = (
    "presidio_analyzer.predefined_recognizers",
    "presidio_analyzer.lm_recognizer",
    "presidio_analyzer.llm_utils",
    "presidio_analyzer.input_validation",
    "presidio_analyzer.nlp_engine.ner_model_configuration",
    "requests",
)
"""What only Presidio's own recognisers use."""
_MISSING = frozenset({"stanza", "spacy_stanza", "spacy_huggingface_pipelines", "transformers", "torch", "gliner"})


def _undecorated(*_arguments: object, **_named: object) -> Callable[[_T], _T]:
    """A registration that registers nothing."""
    return lambda decorated: decorated


class _Named(type):
    """Names in a class that stands for nothing are decorators that do nothing."""

    def __getattr__(cls, name: str) -> Callable[..., Callable[[_T], _T]]:
        if name.startswith("__"):
            raise AttributeError(name)
        return _undecorated


class _Nothing(metaclass=_Named):
    """Stands for a class that is named in annotations only. Making one is a fault."""

    def __init__(self, *_arguments: object, **_named: object) -> None:
        raise RuntimeError("this process runs without spaCy and models")


class _Absent(ModuleType):
    """An empty module: every name in it is the class that cannot be made."""

    __path__ = []  # noqa: RUF012  # what makes a module a package

    def __getattr__(self, name: str) -> type[_Nothing]:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing


class _Finder(MetaPathFinder, Loader):
    """Answers the imports of absent packages with empty modules."""

    def __init__(self, empty: Sequence[str]) -> None:
        self._empty = frozenset(empty)
        self._below = tuple(f"{name}." for name in empty)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for what is to be empty, None for the rest.

        Raises:
            ModuleNotFoundError: for what is to be missing.
        """
        package = fullname.partition(".")[0]
        if package in _MISSING:
            raise ModuleNotFoundError(f"{package} is kept out of this process", name=fullname)
        if package in _EMPTY or fullname in self._empty or fullname.startswith(self._below):
            return ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The empty module."""
        return _Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


def install(*, predefined: bool = True) -> None:
    """Make the packages absent in this process. Has no effect on what is already imported.

    Args:
        predefined: whether Presidio's own recognisers are wanted.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(() if predefined else _PREDEFINED))
