#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The golden ledgers, by the verifier of docs/: good is whole, cut lacks its last entry, flipped has one
bit of its last entry changed. good was written once by a daemon (a packed segment, a label, two keys) and must
verify for ever. Exit: 0 right, 1 not, 77 without python3-cryptography."""

import importlib.util
import pathlib
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent / "ledger"
VERIFIER = FOLDER.parents[2] / "docs" / "verify_ledger.py"
WANTED = {"good": 0, "cut": 65, "flipped": 65}


def main():
    if importlib.util.find_spec("cryptography") is None:
        print("skipped: no python3-cryptography")
        return 77
    if len(VERIFIER.read_text(encoding="utf-8").splitlines()) >= 150:
        print("the second verifier is to stay short: fewer than 150 lines")
        return 1
    wrong = 0
    for name, wanted in WANTED.items():
        for more in ([], ["--receipt", FOLDER / "receipt.json"]):
            done = subprocess.run([sys.executable, "-B", VERIFIER, FOLDER / name, *more],
                                  capture_output=True, text=True)  # fmt: skip
            if done.returncode != wanted:
                print(f"{name}: exit {done.returncode}, wanted {wanted}: {done.stdout}{done.stderr}")
                wrong += 1
    print(f"{2 * len(WANTED) - wrong} passed, {wrong} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
