"""The state of the process, looked at before serving."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.process import concerns

REFUSING = [
    "SSLKEYLOGFILE",
    "PYTHONDEVMODE",
    "PYTHONASYNCIODEBUG",
    "PYTHONINSPECT",
    "PYTHONOPTIMIZE",
    "PYTHONTRACEMALLOC",
]
IGNORED = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "PATH",
    "NO_PROXY",
]


@pytest.mark.parametrize("name", REFUSING)
def test_variable_that_lets_content_out_refuses(name: str) -> None:
    """Each is named with what to do; its value is not shown."""
    (concern,) = concerns({name: "marked-value"})

    assert (concern.name, concern.refuses) == (name, True)
    assert "marked-value" not in repr(concern)
    assert concerns({name: ""}) == []


@pytest.mark.parametrize("name", IGNORED)
def test_ordinary_variable_is_no_concern(name: str) -> None:
    """Certificate paths and providers' keys on a developer's machine change nothing."""
    assert concerns({name: "x"}) == []


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_proxy_is_told_and_not_used(name: str) -> None:
    """A proxy does not stop the gateway, but an operator hears that it is not used."""
    (concern,) = concerns({name: "http://user:secret@proxy"})

    assert (concern.name, concern.refuses) == (name, False)
    assert "secret" not in repr(concern)


def test_debug_of_the_loop_refuses() -> None:
    """asyncio's debug mode is found however it was switched on."""
    assert [concern.refuses for concern in concerns({}, loop_debug=True)] == [True]


@pytest.mark.parametrize(("flags", "found"), [(["-X", "dev"], "-X dev"), (["-O"], "-O"), (["-i"], "-i"), ([], "")])
def test_flags_of_the_interpreter_refuse(flags: list[str], found: str) -> None:
    """Switches that reach content are found in the running interpreter."""
    program = "from gateway.process import concerns; print([c.name for c in concerns({}) if c.refuses])"
    done = subprocess.run(
        [sys.executable, *flags, "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        check=True,
    )

    assert done.stdout.strip() == str([found] if found else [])


def test_core_dumps_are_closed() -> None:
    """Afterwards no core file is written, and the process is not dumpable."""
    program = (
        "import ctypes, resource; from gateway.process import close_core_dumps; "
        "print(close_core_dumps(), resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout.strip() == "[] (0, 0) 0"
