"""Real groups of Redis servers on loopback for the tests: a Cluster of three, and a primary with a replica under a Sentinel."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.redis_server import RedisServer, encoded, free_port

SLOTS = 16_384
SERVICE = "limits"


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for what servers agree upon among themselves."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if true():
                return
        time.sleep(0.02)
    pytest.fail("the servers did not agree in time")


def free_ports(count: int) -> list[int]:
    """Ports whose cluster bus, ten thousand above, is a port too and free."""
    found: list[int] = []
    while len(found) < count:
        port = free_port()
        if port + 10_000 > 65_535 or port in found:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port + 10_000))
            found.append(port)
    return found


class Cluster:
    """Three primaries that share the slots, without replicas."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.nodes = []
        for number, port in enumerate(free_ports(3)):
            node = RedisServer(
                folder / str(number), "--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
                "--cluster-config-file", "nodes.conf", "--cluster-require-full-coverage", "no",
            )  # fmt: skip
            node.port = port
            self.nodes.append(node)

    @property
    def hosts(self) -> tuple[tuple[str, int], ...]:
        return tuple(("127.0.0.1", node.port) for node in self.nodes)

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"{host}:{port}" for host, port in self.hosts)

    def start(self) -> None:
        """Start them, give each a third of the slots, and wait until all agree."""
        for node in self.nodes:
            node.start()
        parts = [0, SLOTS // 3, 2 * SLOTS // 3, SLOTS]
        for node, first, end in zip(self.nodes, parts, parts[1:], strict=False):
            node.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(end - 1))
            node.ask("CLUSTER", "MEET", "127.0.0.1", str(self.nodes[0].port))
        for node in self.nodes:
            until(
                lambda node=node: (  # type: ignore[misc]
                    b"cluster_state:ok" in node.ask("CLUSTER", "INFO")
                    and b"cluster_slots_ok:16384" in node.ask("CLUSTER", "INFO")
                    and b"cluster_known_nodes:3" in node.ask("CLUSTER", "INFO")
                )
            )

    def holder(self, key: str) -> RedisServer:
        """The node that has this key."""
        slot = int(self.nodes[0].ask("CLUSTER", "KEYSLOT", key).strip()[1:])
        return self.nodes[min(2, slot * 3 // SLOTS)]

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


class Watched:
    """A primary, its replica, and a Sentinel that promotes the replica when the primary is gone."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.first = RedisServer(folder / "first")
        self.second = RedisServer(folder / "second", "--replicaof", "127.0.0.1", str(self.first.port))
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.port}/{SERVICE}"

    def ask(self, *words: str) -> bytes:
        """Ask the Sentinel."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
            link.sendall(encoded(words))
            return link.recv(65536)

    def start(self) -> None:
        """Start all three, and wait until the replica is in step and the Sentinel knows it."""
        self.first.start()
        self.second.start()
        program = shutil.which("redis-server")
        assert program is not None
        path = self._folder / "sentinel.conf"
        path.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self._folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.first.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 500\nsentinel failover-timeout {SERVICE} 5000\n"
        )
        self._process = subprocess.Popen([program, str(path), "--sentinel"], stdout=subprocess.DEVNULL)
        until(lambda: b"master_link_status:up" in self.second.ask("INFO", "replication"))
        until(lambda: str(self.second.port).encode() in self.ask("SENTINEL", "REPLICAS", SERVICE))

    def primary(self) -> int:
        """The port of whom the Sentinel names."""
        return int(self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE).split(b"\r\n")[4])

    def cut(self) -> None:
        """Cut the replication: what the primary acknowledges from now on the replica does not have."""
        primary, replica = self._roles()
        replica.ask("CONFIG", "SET", "masterauth", "wrong")
        primary.ask("CLIENT", "KILL", "TYPE", "replica")

    def lose(self) -> None:
        """Kill the primary, have its replica promoted, and let it come back as the other's replica."""
        primary, replica = self._roles()
        primary.stop()
        until(lambda: self.primary() == replica.port and b"role:master" in replica.ask("INFO", "replication"), 90)
        replica.ask("CONFIG", "SET", "masterauth", "")
        primary.options = ("--replicaof", "127.0.0.1", str(replica.port))
        primary.start()
        until(self._is_well, 90)  # or the Sentinel would not promote it the next time

    def _is_well(self) -> bool:
        said = self.ask("SENTINEL", "REPLICAS", SERVICE)
        return b"master-link-status\r\n$2\r\nok" in said and b"s_down" not in said and b"disconnected" not in said

    def _roles(self) -> tuple[RedisServer, RedisServer]:
        first_leads = self.primary() == self.first.port
        return (self.first, self.second) if first_leads else (self.second, self.first)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self.first.stop()
        self.second.stop()
