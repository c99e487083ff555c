"""Connections to Redis that are kept: what is asked goes out in one write, and nothing is looked for that nobody set.

The library's way through pool, pipeline and retries costs several times what it carries, most of it where a process has
little to do and each round trip finds its code and data gone from the processor's caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

Word: TypeAlias = "str | bytes | int | float"
Reply: TypeAlias = "int | bytes | str | list[Reply] | None"
Client: TypeAlias = "Redis | RedisCluster"


class Kept:
    """The connections of one client. Each exchange has one of its own; nothing is retried.

    Nor is it bounded in time: who asks does that, and cancels it.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._idle: list[AbstractConnection] = []

    async def exchange(self, commands: Sequence[Sequence[Word]]) -> list[Reply | ResponseError]:
        """Commands in one round trip; an error that the server gives stands in a reply's place.

        Raises:
            RedisError, OSError: whether they were carried out is unknown.
        """
        if isinstance(self._client, RedisCluster):  # whose node may be another by now
            pipe = self._client.pipeline(transaction=False)
            for command in commands:
                pipe.execute_command(*command)
            return cast("list[Reply | ResponseError]", await pipe.execute(raise_on_error=False))
        pool = self._client.connection_pool
        if self._idle:
            connection = self._idle.pop()
        else:
            connection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await pool.ensure_connection(connection)  # the server may have hung up since
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            return [await _reply(connection) for _ in commands]
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            self._idle.append(connection)


async def _reply(connection: AbstractConnection) -> Reply | ResponseError:
    try:
        return cast("Reply", await connection.read_response(disable_decoding=True))
    except ResponseError as error:
        return error
