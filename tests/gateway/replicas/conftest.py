"""A redis-server for a module; each test finds it empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def lasting_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The server."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis(lasting_redis: RedisServer) -> RedisServer:
    """The same, empty."""
    lasting_redis.ask("FLUSHALL")
    return lasting_redis
