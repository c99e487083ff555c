"""`keys`: caller keys, and the master key under which the state's own keys are sealed."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

from gateway.caller_keys import KeyFile
from gateway.cli.verb import OK, Unusable, Verb, bundle_of, complain, say, when
from gateway.keys import MASTER_FILE, Keyring, add_master, mint_caller_key


def _keys_new_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("caller", metavar="CALLER", help="a service of callers.yaml")
    ends = made.add_mutually_exclusive_group()
    ends.add_argument("--days", type=int, default=365, metavar="N", help="valid for N days (default: 365)")
    ends.add_argument("--until", type=when, metavar="TIME", help="valid until this day or instant")


def _keys_new(options: argparse.Namespace) -> int:
    bundle, now = bundle_of(options), datetime.now(UTC)
    if options.caller not in bundle.callers.services:
        raise Unusable(f"callers.yaml has no such service; there are {', '.join(sorted(bundle.callers.services))}")
    if not 0 < options.days <= 3660:
        raise Unusable("--days is 1 to 3660")
    expires = now + timedelta(days=options.days) if options.until is None else options.until
    if expires <= now:
        raise Unusable("--until is past")
    key = mint_caller_key()
    KeyFile(bundle.state).add(options.caller, key, now, expires)
    complain(f"key {key.key_id} of {options.caller}, valid until {expires:%Y-%m-%d %H:%M} UTC; it is shown this once")
    say([key.text])
    return OK


def _keys_list(options: argparse.Namespace) -> int:
    bundle, now = bundle_of(options), datetime.now(UTC)
    held = KeyFile(bundle.state).read()
    rows = [(key.id, key.caller, key.expires, "issued") for key in held.keys]
    for name, service in bundle.callers.services.items():
        rows += [(key.id, name, key.expires, "callers.yaml") for key in service.keys]
    for key_id, caller, expires, where in rows:
        state = "valid" if expires is None or now < expires else "expired"
        if caller not in bundle.callers.services:
            state = "of no service"
        state = "revoked" if key_id in held.revocations else state
        until = "for ever" if expires is None else f"{expires:%Y-%m-%d %H:%M} UTC"
        say([f"{key_id}  {state:13}  {caller:24}  {until:20}  {where}"])
    return OK


def _keys_revoke_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("key", metavar="ID", help="a key's public id, the 16 hex digits after zrg_; not the key itself")


def _keys_revoke(options: argparse.Namespace) -> int:
    bundle = bundle_of(options)
    listed = {key.id for service in bundle.callers.services.values() for key in service.keys}
    file = KeyFile(bundle.state)
    if options.key not in listed | {key.id for key in file.read().keys}:
        raise Unusable("no key has this id; `gateway keys list` shows them")
    file.revoke(options.key, datetime.now(UTC))
    complain("revoked; a running gateway refuses it within a second")
    return OK


def _keys_rotate_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--data", action="store_true", help="also write journal and log anew under keys of their own")


def _keys_rotate(options: argparse.Namespace) -> int:
    from gateway.audit.rekeying import rekey  # noqa: PLC0415
    from gateway.audit.store import StoreFault, apart  # noqa: PLC0415

    bundle = bundle_of(options)
    keys = bundle.state / "keys"
    master = bundle.master_key or keys / MASTER_FILE
    try:
        with apart(bundle.state / "journal"):
            Keyring.open(keys, master=bundle.master_key)  # every seal must open before anything changes
            newest = add_master(master)
            keyring = Keyring.open(keys, master=bundle.master_key)
            count = keyring.reseal()
            rewritten = rekey(bundle.state, keyring) if options.data else 0
    except StoreFault as fault:
        raise Unusable(f"{fault}: if a gateway runs on this state, stop it first") from None
    if options.data:
        complain(f"{rewritten} databases written anew under new keys; run again if this is fewer than there are")
    complain(f"{count} files sealed anew; older lines of the master file may go once no backup needs them")
    say([newest])
    return OK


VERBS = (
    Verb(
        ("keys", "new"),
        "issue a key for a caller and print it, this once",
        "gateway keys new coaching-demo --days 90",
        _keys_new,
        _keys_new_arguments,
    ),
    Verb(("keys", "list"), "every key by its public id, with its state", "gateway keys list", _keys_list),
    Verb(
        ("keys", "revoke"),
        "refuse a key from now on",
        "gateway keys revoke 0123456789abcdef",
        _keys_revoke,
        _keys_revoke_arguments,
    ),
    Verb(
        ("keys", "rotate"),
        "make a new master key and seal every key of the state under it, while the gateway is stopped",
        "gateway keys rotate --config /etc/gateway",
        _keys_rotate,
        _keys_rotate_arguments,
    ),
)
