"""The form of a verb, its exit codes, and what the verbs share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from gateway.config import Bundle, environment, load
from gateway.policy.forms import instant
from providers import PROVIDERS

OK: Final = 0
DOES_NOT_HOLD: Final = 1
UNUSABLE: Final = 2


class Unusable(Exception):
    """The verb cannot do its work as it was asked. The message is ours and says what to do."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb. `arguments` adds what it takes beside `--config`."""

    words: tuple[str, ...]
    help: str
    example: str
    run: Callable[[argparse.Namespace], int]
    arguments: Callable[[argparse.ArgumentParser], None] = lambda _parser: None


def bundle_of(options: argparse.Namespace) -> Bundle:
    """The configuration that `--config` names.

    Raises:
        ConfigurationError: it is not usable.
    """
    return load(options.config, environment(), wires=PROVIDERS)


def when(text: str) -> datetime:
    """An argument that is a day or an instant."""
    try:
        return instant(text)
    except ValueError:
        raise argparse.ArgumentTypeError("write 2026-11-25 or 2026-11-25T09:30:00Z, in UTC") from None


def say(lines: Iterable[str]) -> None:
    """Print lines of the verb's answer."""
    for line in lines:
        sys.stdout.write(f"{line}\n")


def complain(line: str) -> None:
    """Print a line beside the answer, on standard error."""
    sys.stderr.write(f"{line}\n")


def lines(name: str) -> Iterator[bytes]:
    """The lines of a file, or of standard input for `-`.

    Raises:
        Unusable: it cannot be read.
    """
    if name == "-":
        yield from sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as file:
            yield from file
    except OSError:
        raise Unusable(f"{name}: cannot be read") from None
