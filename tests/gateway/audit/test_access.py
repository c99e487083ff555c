"""The book of who looked, and that the gateway takes it into the record."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from gateway.audit.access import KEPT_DAYS, AccessBook, access_mark, looks_after
from gateway.audit.periods import DAY
from gateway.audit.reader import Filters, query
from gateway.audit.store import StoreFault
from gateway.keys import Keyring
from tests.conftest import Gateway

KEY = bytes(range(96, 128))
DIGEST = hashlib.sha256(b"/calls").hexdigest()
SESSION, OTHER = "ab" * 16, "cd" * 16
NOW = 1_795_000_000_000_000


def test_a_look_is_there_for_whoever_reads_next(tmp_path: Path) -> None:
    """Views come back with who, as what, and which scope; by scope where one is given; in order for the gateway."""
    book = AccessBook(tmp_path, KEY)
    book.enter(SESSION, "security", "ada", "every tenant", NOW)
    book.enter(OTHER, "tenant_admin", "bob", "tenants t-1", NOW)
    assert access_mark(tmp_path) is not None
    for session, act, rows in ((SESSION, "view", 3), (OTHER, "export", 5), (SESSION, "refused", 0)):
        book.note(session, act, "/calls", DIGEST, rows, NOW)

    assert [(look.who, look.act, look.rows) for look in book.looks(None)] == [
        ("ada", "refused", 0),
        ("bob", "export", 5),
        ("ada", "view", 3),
    ]
    assert [look.who for look in book.looks("tenants t-1")] == ["bob"]
    assert [look.id for look in book.looks(None, before=3, most=1)] == [2]
    assert [look.id for look in looks_after(tmp_path, KEY, 1, 10)] == [2, 3]
    book.close()


def test_it_is_encrypted_and_ours_alone(tmp_path: Path) -> None:
    """Another key opens nothing, and no name is in the file."""
    book = AccessBook(tmp_path, KEY)
    book.enter(SESSION, "security", "ada-of-security", "every tenant", NOW)
    book.close()

    with pytest.raises(StoreFault):
        AccessBook(tmp_path, bytes(32))
    assert not any(b"ada-of-security" in path.read_bytes() for path in (tmp_path / "pages").iterdir())
    assert looks_after(tmp_path / "elsewhere", KEY, 0, 10) == []


def test_looks_are_kept_for_thirteen_months(tmp_path: Path) -> None:
    """The next sign-in removes what is older, and who it was with it; numbers are not used again."""
    book = AccessBook(tmp_path, KEY)
    book.enter(SESSION, "security", "ada", "every tenant", NOW)
    book.note(SESSION, "view", "/calls", DIGEST, 1, NOW)
    later = NOW + (KEPT_DAYS + 1) * DAY
    book.enter(OTHER, "security", "bob", "every tenant", later)
    book.note(OTHER, "view", "/calls", DIGEST, 1, later)

    assert [(look.id, look.who) for look in book.looks(None)] == [(2, "bob")]
    book.close()


async def test_the_gateway_records_each_look_once_and_without_a_name(gateway: Gateway) -> None:
    """Views and exports become operator records with role, session, the query's digest and rows; a refused one does not."""
    keyring = Keyring.open(gateway.state / "keys")
    book = AccessBook(gateway.state, keyring.index_key())
    book.enter(SESSION, "tenant_auditor", "ada-of-acme", "tenants t-1", NOW)
    for act in ("view", "refused", "export"):
        book.note(SESSION, act, "/calls", DIGEST, 7, NOW)
    await gateway.application._noting.looks()
    await gateway.application._noting.looks()
    book.close()

    lines = list(query(gateway.state / "journal", keyring.journal_key(), Filters(kind="operator")))
    looks = [line for line in lines if line.get("act") in {"view", "export"}]
    assert [line["act"] for line in looks] == ["view", "export"]
    assert {(line["role"], line["session"], line["query"], line["rows"], line["start"]) for line in looks} == {
        ("tenant_auditor", SESSION, DIGEST, 7, NOW)
    }
    assert "ada-of" not in json.dumps(lines)  # three letters alone may stand in a random id
