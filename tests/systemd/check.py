#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The systemd units: systemd-analyze finds nothing to complain of, and the service's exposure is low.

Exits 77 (skipped) where systemd-analyze is absent or too old to judge a unit that is not installed.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

EXPOSURE_MAX = 1.5
SKIPPED = 77
UNITS = pathlib.Path(__file__).resolve().parents[2] / "config" / "systemd"


def run(*command, env=None):
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, env=env, check=False)
    return done.returncode, done.stdout + done.stderr


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def verify(folder):
    """Every directive is known and well formed. The daemon itself need not be installed."""
    for unit in UNITS.iterdir():
        text = re.sub(r"(?m)^ExecStart=cortexd\b", "ExecStart=/bin/true", unit.read_text("utf-8"))
        (folder / unit.name).write_text(text, encoding="utf-8")
    env = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"}
    failures = 0
    for unit in sorted(folder.iterdir()):
        code, output = run("systemd-analyze", "verify", "--man=no", str(unit), env=env)
        complaints = [line for line in output.splitlines() if "cortexd" in line]
        if code != 0 or complaints:
            print(f"{unit.name}: systemd-analyze verify ends with {code}:\n{output}")
            failures += 1
    return failures


def exposure():
    unit = UNITS / "cortexd.service"
    _, output = run("systemd-analyze", "security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for cortexd\.service: ([0-9.]+)", output)
    if not found:
        print(f"systemd-analyze security gives no figure:\n{output}")
        return 1
    level = float(found.group(1))
    print(f"exposure {level}, at most {EXPOSURE_MAX}")
    if level > EXPOSURE_MAX:
        print(output)
        return 1
    return 0


def main():
    if shutil.which("systemd-analyze") is None:
        skip("systemd-analyze is not installed")
    _, version = run("systemd-analyze", "--version")
    found = re.match(r"systemd (\d+)", version)
    if not found or int(found.group(1)) < 250:
        skip("this systemd-analyze cannot judge a unit that is not installed")
    with tempfile.TemporaryDirectory() as folder:
        failures = verify(pathlib.Path(folder)) + exposure()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
