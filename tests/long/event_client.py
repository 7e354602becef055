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
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from daemon import Daemon  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = "eventsource@4.0.0"
INSTALL_SECONDS = 300
CHECK_SECONDS = 120


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


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--daemon", required=True, type=pathlib.Path)
    program = parser.parse_args().daemon.resolve()
    with tempfile.TemporaryDirectory(prefix="cortex-events-") as name:
        folder = pathlib.Path(name)
        command = install(folder)
        if command is None:
            print(f"skip  the package {PACKAGE} is not to be had here")
            return 77
        daemon = Daemon(program, folder).start()
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "EVENTS_URL": f"http://127.0.0.1:{daemon.port}", "EVENTS_TOKEN": daemon.token},
                timeout=CHECK_SECONDS,
                check=False,
            )
        finally:
            code = daemon.end()
    good = done.returncode == 0 and code == 0
    print(f"{'ok   ' if good else 'FAIL '} {PACKAGE}; the daemon ended with {code}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
