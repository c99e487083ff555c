"""Who outside vouches for the log: its witnesses, and an authority of time. Both off unless gateway.yaml names them."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

from gateway.anchoring import Anchoring
from gateway.audit.cosigning import keep_trust
from gateway.audit.record import Operator
from gateway.audit.stamps import keep_roots
from gateway.config import Bundle
from gateway.errors import Unavailable
from gateway.keys import KeyFault, Keyring, read_certificates
from gateway.outside import Outside
from gateway.witnessing import RolledBack, Witnessing


class Vouching:
    """Both, for the log of one state. What they fail at is told, and costs no call anything.

    Args:
        bundle: the configuration.
        state: the state directory.
        keyring: of the state.
        note: records an act, durably.
        tell: told what went wrong, for the operator.
        forbid: told once why nothing may be signed any more.

    Raises:
        StoreFault: whom to trust cannot be kept beside the log.
    """

    def __init__(
        self,
        bundle: Bundle,
        state: Path,
        keyring: Keyring,
        note: Callable[[Operator], Awaitable[None]],
        tell: Callable[[str], None],
        forbid: Callable[[str], None],
    ) -> None:
        settings, log = bundle.settings.log, state / "log"
        keep_trust(log, [each.key for each in settings.witnesses], settings.quorum)
        self._forbid = forbid
        self._outside: Outside | None = None
        self._witnessing: Witnessing | None = None
        self._anchoring: Anchoring | None = None
        self._unusable = False
        stamps = settings.time_stamps
        pem = None if stamps is None else _read(bundle.path(stamps.roots))
        keep_roots(log, pem)
        if not settings.witnesses and stamps is None:
            return
        authorities = bundle.settings.upstream.authorities
        self._outside = Outside(
            [*(each.url for each in settings.witnesses), *([] if stamps is None else [stamps.url])],
            None if authorities is None else bundle.path(authorities),
        )
        if settings.witnesses:
            self._witnessing = Witnessing(
                state, keyring.log_key(), settings.witnesses, settings.quorum, self._outside, tell
            )
        if stamps is not None:
            try:
                roots = read_certificates(pem or b"")
            except KeyFault:
                self._unusable = True
                tell("time stamps: `log.time_stamps.roots` cannot be read, so no token is fetched")
                return
            self._anchoring = Anchoring(log, keyring.log_key(), stamps, roots, self._outside, note, tell)

    async def look(self) -> None:
        """Ask the witnesses before anything is signed: one of them may know a later past than this state."""
        if self._witnessing is not None:
            try:
                await self._witnessing.look()
            except RolledBack as fault:
                self._forbid(str(fault))

    def runs(self) -> list[Coroutine[None, None, None]]:
        """What goes on for ever, for tasks of the application."""
        made: list[Coroutine[None, None, None]] = []
        if self._witnessing is not None:
            made.append(self._witnessing.run(self._forbid))
        if self._anchoring is not None:
            made.append(self._anchoring.run())
        return made

    def warnings(self) -> list[str]:
        """What readiness tells beside its checks."""
        if self._unusable:
            return ["no time-stamp token is fetched: `log.time_stamps.roots` holds no certificates"]
        late = self._anchoring is not None and self._anchoring.late
        return ["no time-stamp token for longer than two of its intervals"] if late else []

    async def close(self) -> None:
        """Record the token that was fetched last, if it is not recorded yet, and end every connection."""
        if self._anchoring is not None:
            with contextlib.suppress(Unavailable):
                await self._anchoring.record()
        if self._outside is not None:
            await self._outside.close()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
