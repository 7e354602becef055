#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An independent client of the event stream, the npm package `eventsource`, pointed at a daemon.

    tests/long/event_client.py --daemon build/release/bin/cortexd

The package is installed into a folder of this run. Exits with 77 where it cannot be had.
"""

import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = "eventsource@4.0.0"
INSTALL_SECONDS = 300
CHECK_SECONDS = 120
START_SECONDS = 20


def install(folder):
    """The command that runs the checks; None where the package cannot be had."""
    if not shutil.which("node") or not shutil.which("npm"):
        return None
    (folder / "package.json").write_text('{"private": true}')
    done = subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE],
        cwd=folder,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        return None
    return ["node", shutil.copy(HERE / "event_client.mjs", folder)]


def start(daemon, folder):
    """A daemon with an empty data directory; (process, port, token)."""
    port_file = folder / "port"
    data = folder / "data"
    process = subprocess.Popen(
        [daemon, "--data-dir", data, "--listen", "127.0.0.1:0", "--port-file", port_file],
        env={key: value for key, value in os.environ.items() if not key.startswith("CORTEX_")},
    )
    until = time.monotonic() + START_SECONDS
    while not port_file.exists():
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            sys.exit("event_client: the daemon did not start")
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            pass
    return process, int(port_file.read_text()), (data / "token").read_text().strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--daemon", required=True, type=pathlib.Path)
    daemon = parser.parse_args().daemon.resolve()
    with tempfile.TemporaryDirectory(prefix="cortex-events-") as name:
        folder = pathlib.Path(name)
        command = install(folder)
        if command is None:
            print(f"skip  the package {PACKAGE} is not to be had here")
            return 77
        process, port, token = start(daemon, folder)
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "EVENTS_URL": f"http://127.0.0.1:{port}", "EVENTS_TOKEN": token},
                timeout=CHECK_SECONDS,
                check=False,
            )
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(30)
    good = done.returncode == 0 and code == 0
    print(f"{'ok   ' if good else 'FAIL '} {PACKAGE}; the daemon ended with {code}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
