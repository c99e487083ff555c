"""The state of the process that would let content out: checked, and where possible closed, before serving."""

from __future__ import annotations

import ctypes
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass

_PR_SET_DUMPABLE = 4  # prctl(2)

_REFUSED = {
    "SSLKEYLOGFILE": "it asks TLS libraries to write session secrets to disk",
    "PYTHONDEVMODE": "development mode prints what it should not",
    "PYTHONASYNCIODEBUG": "asyncio's debug mode prints callback arguments",
    "PYTHONINSPECT": "an interactive prompt after exit reads all memory",
    "PYTHONOPTIMIZE": "assertions are off, and libraries rely on theirs",
    "PYTHONDUMPREFS": "it prints every live object at exit",
    "PYTHONTRACEMALLOC": "it keeps tracebacks of every allocation",
}
_IGNORED_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY", "WSS_PROXY", "FTP_PROXY")


@dataclass(frozen=True, slots=True)
class Concern:
    """Something about the process an operator should know. `refuses` says that serving must not start."""

    name: str
    reason: str
    refuses: bool


def concerns(environment: Mapping[str, str], *, loop_debug: bool = False) -> list[Concern]:
    """What stands against serving from this process.

    Certificate paths (`SSL_CERT_FILE`, `*_CA_BUNDLE`) and providers' credentials in the environment are not
    concerns: nothing here reads them. Proxies are not used either, and an operator who expected them
    to be should hear it.
    """
    found = [Concern(name, f"unset it: {why}", refuses=True) for name, why in _REFUSED.items() if environment.get(name)]
    found += [
        Concern(name, "it is ignored: the gateway connects to providers directly", refuses=False)
        for name in environment
        if name.upper() in _IGNORED_PROXIES and environment[name]
    ]
    flags = {
        "-X dev": sys.flags.dev_mode,
        "-O": sys.flags.optimize,
        "-i": sys.flags.inspect or sys.flags.interactive,
    }
    found += [Concern(flag, "start Python without it", refuses=True) for flag, given in flags.items() if given]
    if loop_debug:
        found.append(Concern("asyncio debug", "asyncio's debug mode prints callback arguments", refuses=True))
    return found


def close_core_dumps() -> list[Concern]:
    """Let no core file and no other process of this user read our memory. Linux; elsewhere the limit alone."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    found: list[Concern] = []
    if resource.getrlimit(resource.RLIMIT_CORE) != (0, 0):
        found.append(Concern("core limit", "core dumps could not be switched off", refuses=True))
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        found.append(Concern("dumpable", "the process could not be made undumpable", refuses=True))
    return found
