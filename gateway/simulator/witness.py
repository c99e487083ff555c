"""What arrived, written down before it is answered: the ground truth that audit records are held against.

Bodies and headers are kept, so this is for tests and the demonstration only.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from providers.document import Document

End = Literal["open", "completed", "caller_gone", "cut_by_script", "broken"]


@dataclass(slots=True)
class Arrival:
    """One request, from the moment its head was read.

    `body` is None until the whole body is there. `sent` counts bytes of the answer's body. `end`
    says how the exchange ended; `completed` means that the last byte was handed to the kernel, `broken` that the
    simulated provider could not make an answer of its script.
    """

    number: int
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    request_id: str
    body: bytes | None = None
    status: int | None = None
    sent: int = 0
    end: End = "open"

    def header(self, name: str) -> str | None:
        """The first value of that header, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def document(self) -> Document:
        """The body as JSON. Raises `ValueError` where it is none."""
        tree = json.loads(self.body or b"")
        if not isinstance(tree, dict):
            raise TypeError("the body is not an object")
        return tree


@dataclass(slots=True)
class Witness:
    """The log of arrivals: in memory, and, given a path, one JSON line per change appended to a file.

    A line is `{"arrival": n, "kind": "head" | "body" | "end", ...}` and is written (flushed, not
    synced) before anything is answered.
    """

    path: Path | None = None
    arrivals: list[Arrival] = field(default_factory=list)
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def arrived(self, method: str, target: str, headers: tuple[tuple[str, str], ...]) -> Arrival:
        """Note a request's head and give it its number and request id."""
        number = len(self.arrivals) + 1
        arrival = Arrival(number, method, target, headers, request_id=f"req_{number:032x}")
        self.arrivals.append(arrival)
        self._note(
            {
                "arrival": number,
                "kind": "head",
                "method": method,
                "target": target,
                "headers": [[name, value] for name, value in headers],
                "request_id": arrival.request_id,
            }
        )
        return arrival

    def read(self, arrival: Arrival, body: bytes) -> None:
        """Note the whole body."""
        arrival.body = body
        self._note({"arrival": arrival.number, "kind": "body", "body": base64.b64encode(body).decode()})

    def ended(self, arrival: Arrival, end: End) -> None:
        """Note how it ended. The first note stands."""
        if arrival.end == "open":
            arrival.end = end
            self._note({"arrival": arrival.number, "kind": "end", "end": end, "sent": arrival.sent})

    @property
    def open(self) -> int:
        """How many exchanges have not ended."""
        return sum(arrival.end == "open" for arrival in self.arrivals)

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait until the condition holds after some note.

        Raises:
            TimeoutError: it did not within `seconds`.
        """
        async with asyncio.timeout(seconds):
            while not condition():
                waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(waiting)
                await waiting

    async def settled(self, count: int, seconds: float = 5.0) -> None:
        """Wait until at least `count` requests have arrived and all have ended."""
        await self.until(lambda: len(self.arrivals) >= count and self.open == 0, seconds)

    def clear(self) -> None:
        """Forget what is in memory. Numbers, and so request ids, start again."""
        self.arrivals.clear()

    def progress(self) -> None:
        """Wake those who wait: something was sent."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _note(self, line: Document) -> None:
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        self.progress()
