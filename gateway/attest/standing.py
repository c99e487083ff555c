"""How each entry stands: when its settings last read as agreed, and what has spoken against it since.

Kept in one small file of the state, so that a restart neither forgets a failure nor stops traffic while a provider's
administration host is away for a minute. What a reading was of (method, host, account) is kept with it: an entry whose
account changed begins anew.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson

from gateway.attest.verdicts import Reading
from gateway.audit.words import Said, Setting, Verdict
from gateway.policy.entries import Entry

FILE: Final = "attest.json"
ASKED: Final = "attest.asked"
"""Readings and lifts of `gateway attest`, a line each, for the running gateway to take over."""


Mark = tuple[int, int, int] | None


class StandingUnreadable(Exception):
    """A file is there and is not what this program writes. Names the file only."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One entry's. Times in microseconds since 1970; 0: never.

    Attributes:
        of: what it was read of, see `mark`.
        read_at: the last reading, whatever it came to.
        passed_at: the last that passed.
        failed: the last conclusive reading failed.
        contradicted_at: an answer showed that something is kept, and nobody lifted that yet.
        probed_at: the last probe.
        probe_failed: the last conclusive probe found something kept.
        said: what the last reading said.
    """

    of: str = ""
    read_at: int = 0
    passed_at: int = 0
    failed: bool = False
    contradicted_at: int = 0
    probed_at: int = 0
    probe_failed: bool = False
    said: tuple[tuple[str, str], ...] = ()

    def after(self, reading: Reading) -> Standing:
        """How it stands after a reading of settings. One that says nothing leaves everything but its time."""
        said = tuple((setting.value, word.value) for setting, word in sorted(reading.said.items()))
        known = replace(self, read_at=max(self.read_at, reading.at), said=said)
        if reading.verdict is Verdict.PASS:
            return replace(known, passed_at=max(self.passed_at, reading.at), failed=False)
        return known if reading.verdict is Verdict.INCONCLUSIVE else replace(known, failed=True)

    def after_probe(self, reading: Reading) -> Standing:
        """How it stands after a probe."""
        known = replace(self, probed_at=max(self.probed_at, reading.at))
        if reading.verdict is Verdict.INCONCLUSIVE:
            return known
        return replace(known, probe_failed=reading.verdict is Verdict.FAIL)

    def is_fresh(self, now: int, stale_after_seconds: int) -> bool:
        """Whether it passed lately enough. A time to come is no pass."""
        return 0 <= now - self.passed_at <= stale_after_seconds * 1_000_000


def mark(entry: Entry) -> str:
    """What an entry's readings are of: with another method, host, account or credential they say nothing."""
    form, asked = entry.form, entry.form.read_back
    facts = [
        form.base_url,
        dict(form.account_scope),
        form.credential.reference,
        None if asked is None else [asked.method, asked.base_url, asked.model],
    ]
    return sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def read_standings(state: Path) -> tuple[dict[str, Standing], int]:
    """Every entry's standing, and how many lines of `ASKED` were taken over.

    Raises:
        StandingUnreadable: the file is not what this program writes.
    """
    path = state / FILE
    try:
        tree = orjson.loads(path.read_bytes())
        entries = {
            name: Standing(**{**each, "said": tuple((pair[0], pair[1]) for pair in each["said"])})
            for name, each in tree["entries"].items()
        }
        return entries, int(tree["taken"])
    except FileNotFoundError:
        return {}, 0
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise StandingUnreadable(f"{path}: cannot be read") from None


def kept_mark(state: Path) -> Mark:
    """What changes whenever standings are kept; None where none are. One `stat`."""
    try:
        status = (state / FILE).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def keep_standings(state: Path, entries: dict[str, Standing], taken: int) -> None:
    """Write them, durably, in one step.

    Raises:
        OSError: they cannot be written.
    """
    staged = state / f"{FILE}.new"
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps({"entries": entries, "taken": taken}, option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(descriptor)
    staged.replace(state / FILE)


@dataclass(frozen=True, slots=True)
class Asked:
    """A line of `gateway attest`: a reading, a probe, or that an entry's contradiction is lifted.

    `contradicted` is one of another process of the gateway: an answer showed there that something is kept.
    """

    what: str
    of: str
    reading: Reading


def ask(state: Path, asked: Asked) -> None:
    """Leave a line for the running gateway.

    Raises:
        OSError: it cannot be written.
    """
    reading = asked.reading
    line = orjson.dumps(
        {
            "what": asked.what,
            "of": asked.of,
            "processor": reading.processor,
            "at": reading.at,
            "said": {setting.value: word.value for setting, word in reading.said.items()},
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
    state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state / ASKED, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def asked_after(state: Path, taken: int) -> list[Asked]:
    """The lines that were left since, oldest first.

    Raises:
        StandingUnreadable: a line is not of this program.
    """
    path = state / ASKED
    try:
        lines = path.read_bytes().splitlines()[taken:]
        trees = [orjson.loads(line) for line in lines]
        return [
            Asked(
                str(tree["what"]),
                str(tree["of"]),
                Reading(
                    str(tree["processor"]),
                    int(tree["at"]),
                    {Setting(name): Said(word) for name, word in tree["said"].items()},
                ),
            )
            for tree in trees
        ]
    except FileNotFoundError:
        return []
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        raise StandingUnreadable(f"{path}: cannot be read") from None
