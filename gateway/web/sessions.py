"""Sessions: a random cookie whose digest alone is kept, in memory, with an idle and a final limit."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from gateway.audit.scope import Scope
from gateway.audit.words import Role
from gateway.web.viewer import Viewer

MOST = 1000
"""Sessions at once; the oldest goes."""


@dataclass(slots=True)
class _Session:
    viewer: Viewer
    began: float
    seen: float
    ends: float


class Sessions:
    """Who is signed in. Lost with the process, so that nothing on a disk lets anybody in: everybody signs in again.

    Args:
        idle: seconds without a page after which a session ends.
        whole: seconds after which it ends in any case.
        clock: monotonic seconds.
    """

    def __init__(self, idle: float, whole: float, clock: Callable[[], float]) -> None:
        self._idle, self._whole, self._clock = idle, whole, clock
        self._sessions: dict[str, _Session] = {}

    def enter(self, role: Role, scope: Scope, who: str, most: float | None = None) -> tuple[str, Viewer]:
        """A new session; its cookie's value and the viewer. `most` ends it sooner (seconds)."""
        value = secrets.token_urlsafe(32)
        viewer = Viewer(role, scope, who, secrets.token_hex(16), secrets.token_urlsafe(24))
        now = self._clock()
        while len(self._sessions) >= MOST:
            del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].seen)]
        ends = now + (self._whole if most is None else min(most, self._whole))
        self._sessions[_digest(value)] = _Session(viewer, now, now, ends)
        return value, viewer

    def find(self, value: str) -> Viewer | None:
        """Who has this cookie, if the session still holds."""
        key = _digest(value)
        session = self._sessions.get(key)
        if session is None:
            return None
        now = self._clock()
        if now >= session.ends or now - session.seen >= self._idle:
            del self._sessions[key]
            return None
        session.seen = now
        return session.viewer

    def left(self, value: str) -> float:
        """Seconds until this session ends whatever its holder does."""
        session = self._sessions.get(_digest(value))
        return 0.0 if session is None else max(0.0, session.ends - self._clock())

    def leave(self, value: str) -> None:
        """End a session."""
        self._sessions.pop(_digest(value), None)


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
