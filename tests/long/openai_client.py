#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""OpenAI's own clients, of Python and of Node.js, pointed at a daemon.

    tests/long/openai_client.py --daemon build/release/bin/cortexd

The clients are installed into a folder of this run: the versions that are named here and in
openai_client.txt, by their hashes. Exits with 77 where neither can be had.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import venv

sys.dont_write_bytecode = True
from daemon import Daemon  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
INSTALL_SECONDS = 300
CHECK_SECONDS = 120
NODE_VERSION = "6.49.0"
NODE_LOCK = {
    "node_modules/openai": {
        "version": NODE_VERSION,
        "integrity": "sha512-aYCc0C6L864eR6WSYIwQGyXriw/nIyZx0ObvhzOEVuk0zoBDpynjS"
        "brionWI7q65B5H8jJX0DXR9snEzM6bfPg==",
    }
}


def install_python(folder):
    """The command that runs a script with the client of Python; None where it cannot be had."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        + ["--no-deps", "--only-binary", ":all:", "--require-hashes"]
        + ["-r", HERE / "openai_client.txt"],
        timeout=INSTALL_SECONDS,
        check=False,
    )
    return [python, HERE / "openai_client_checks.py"] if done.returncode == 0 else None


def install_node(folder):
    """The same of Node.js, which looks for packages beside the script."""
    if not shutil.which("node") or not shutil.which("npm"):
        return None
    folder.mkdir()
    wanted = {"private": True, "dependencies": {"openai": NODE_VERSION}}
    (folder / "package.json").write_text(json.dumps(wanted))
    lock = {"lockfileVersion": 3, "requires": True, "packages": {"": wanted, **NODE_LOCK}}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    done = subprocess.run(
        ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=folder,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        return None
    return ["node", shutil.copy(HERE / "openai_client_checks.mjs", folder)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--daemon", required=True, type=pathlib.Path)
    program = parser.parse_args().daemon.resolve()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="cortex-openai-") as name:
        folder = pathlib.Path(name)
        clients = {
            "Python": install_python(folder / "python"),
            "Node.js": install_node(folder / "node"),
        }
        for language, command in clients.items():
            if command is None:
                print(f"skip  the client of {language}: the package openai is not to be had here")
        if not any(clients.values()):
            return 77
        daemon = Daemon(program, folder).start()
        try:
            for language, command in clients.items():
                if command is None:
                    continue
                done = subprocess.run(
                    command,
                    env={
                        **os.environ,
                        "OPENAI_BASE_URL": f"http://127.0.0.1:{daemon.port}/v1",
                        "OPENAI_API_KEY": daemon.token,
                    },
                    timeout=CHECK_SECONDS,
                    check=False,
                )
                good = done.returncode == 0
                failed += not good
                print(f"{'ok   ' if good else 'FAIL '} the client of {language}")
        finally:
            code = daemon.end()
    if code != 0:
        print(f"FAIL  the daemon ended with {code}")
    return 1 if failed or code != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
