"""`make run`: a private copy of the example configuration, a simulated provider, and the gateway, in one terminal.

Nothing here is of the product: it starts `gateway.simulator` and `gateway serve` as anyone could, makes a
caller key, and prints what to paste.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".state" / "demo"
SIMULATOR_PORT = 8070
PAGES = "http://127.0.0.1:8081"
PORTS = (SIMULATOR_PORT, 8080, 8081, 9090)
READY_SECONDS = 30

PASTE = """
The gateway listens on http://127.0.0.1:8080, the operations port on http://127.0.0.1:9090.
A fresh key of the caller `coaching-demo`:

  {key}

openai SDK:
  {python} -c "from openai import OpenAI; c = OpenAI(base_url='http://127.0.0.1:8080/v1', api_key='{key}'); \
print(c.chat.completions.create(model='gpt-simulated', messages=[dict(role='user', content='My rep Ana is on chemo. \
How do I coach her?')]).choices[0].message.content); [print(e.choices[0].delta.content or '', end='') for e in \
c.chat.completions.create(model='gpt-simulated', stream=True, messages=[dict(role='user', content='And streamed?')]) \
if e.choices]; print()"

anthropic SDK:
  {python} -c "from anthropic import Anthropic; c = Anthropic(base_url='http://127.0.0.1:8080', api_key='{key}'); \
m = dict(model='claude-simulated', max_tokens=200, messages=[dict(role='user', content='My rep Tom is in rehab.')]); \
print(c.messages.create(**m).content[0].text); s = c.messages.stream(**m); \
[print(t, end='') for t in s.__enter__().text_stream]; print()"

curl:
  curl -sN http://127.0.0.1:8080/v1/chat/completions -H 'authorization: Bearer {key}' \
-H 'content-type: application/json' -d '{{"model":"gpt-simulated","stream":true,\
"messages":[{{"role":"user","content":"Hello from curl"}}]}}'

The auditor's pages (this link works once, for ten minutes): {link}

Press Ctrl-C to stop. The records so far: {python} -m gateway audit --config {config}
"""


def main() -> int:
    """Run until interrupted."""
    parser = argparse.ArgumentParser(prog="make run")
    parser.add_argument("--config", type=Path, help="a configuration of yours; then nothing is simulated")
    options = parser.parse_args()
    python = [sys.executable, "-m", "gateway"]
    if options.config is not None:
        return subprocess.call([*python, "serve", "--config", str(options.config)])  # noqa: S603  # ourselves
    if taken := [port for port in PORTS if _is_taken(port)]:
        sys.stderr.write(
            f"make run: another program listens on {', '.join(map(str, taken))} of 127.0.0.1; end it first\n"
        )
        return 1
    config = prepare(HOME, SIMULATOR_PORT)
    credential = (HOME / "credential").read_text(encoding="ascii").strip()
    with _process(
        [sys.executable, "-m", "gateway.simulator", "--port", str(SIMULATOR_PORT), "--credential", credential]
    ):
        key = subprocess.check_output(  # noqa: S603  # ourselves
            [*python, "keys", "new", "coaching-demo", "--config", str(config)], text=True
        ).strip()
        with _process([*python, "serve", "--config", str(config)]) as serving:
            if not _ready("http://127.0.0.1:9090/readyz", serving):
                return 1
            with _process([*python, "web", "--config", str(config)]) as pages:
                if not _ready(f"{PAGES}/sign-in", pages):
                    return 1
                link = subprocess.check_output(  # noqa: S603  # ourselves
                    [*python, "web", "--link", "security", "--config", str(config)],
                    text=True,
                    stderr=subprocess.DEVNULL,
                ).strip()
                shown = os.path.relpath(sys.executable)
                sys.stdout.write(PASTE.format(key=key, python=shown, config=os.path.relpath(config), link=link))
                sys.stdout.flush()
                signal.signal(signal.SIGTERM, lambda *_: serving.terminate())
                with contextlib.suppress(KeyboardInterrupt):
                    serving.wait()
    return 0


def prepare(home: Path, simulator_port: int) -> Path:
    """Write a private copy of the example configuration under `home`, with the simulated provider switched on.

    The copy is refreshed at each start; the state beside it stays. Returns the configuration's directory.
    """
    config = home / "config"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    credential = home / "credential"
    if not credential.exists():
        credential.touch(mode=0o600)
        credential.write_text(f"simulated-{secrets.token_hex(16)}\n", encoding="ascii")
    shutil.rmtree(config, ignore_errors=True)
    shutil.copytree(ROOT / "config", config)
    for path in sorted((config / "processors").glob("simulated*.yaml")):
        text = path.read_text(encoding="utf-8").replace("http://127.0.0.1:8070", f"http://127.0.0.1:{simulator_port}")
        path.write_text(text.replace("example: true\n", ""), encoding="utf-8")
    return config


@contextlib.contextmanager
def _process(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child of ours, ended when we leave."""
    with subprocess.Popen(arguments, start_new_session=True) as child:  # noqa: S603  # ourselves
        try:
            yield child
        finally:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                child.wait(45)


def _is_taken(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def _ready(url: str, serving: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and serving.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=1):  # noqa: S310  # loopback
            return True
        time.sleep(0.05)
    return False


if __name__ == "__main__":
    sys.exit(main())
