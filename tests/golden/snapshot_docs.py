#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the programs of docs/verify-snapshot.md as they stand there against the golden snapshots.

Each must take the good ones and refuse changed ones; the shell, which does not know RFC 8785, only
the plain one. A program whose interpreter is missing is skipped, with a word. Exit: 0 good, 1 not.
"""
import importlib.util
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from verify_snapshot import GOLDEN_KEY, GOLDEN_PUBLIC_KEY

FOLDER = pathlib.Path(__file__).resolve().parent
PAGE = FOLDER.parent.parent / "docs" / "verify-snapshot.md"
# fence: (needed programs, file name, command, golden files that it must take)
PROGRAMS = {
    "python": ((), "verify.py", [sys.executable], ("snapshot.json", "snapshot_plain.json")),
    "javascript": (("node",), "verify.js", ["node"], ("snapshot.json", "snapshot_plain.json")),
    "sh": (("jq", "openssl", "od"), "verify.sh", ["sh"], ("snapshot_plain.json",)),
}
# The same by the public key; each is put behind the part of another program that ends with `canonical`.
PUBLIC = {
    "py": ("python", "key = open", "verify_public.py", [sys.executable]),
    "js": ("javascript", "const [keyFile", "verify_public.js", ["node"]),
}
PUBLIC_GOLDEN = ("snapshot_ed25519.json",)


def changed(snapshot):
    """Snapshots that must be refused."""
    yield "fact", dict(snapshot, hot_facts=snapshot["hot_facts"] + ["one more"])
    yield "time", dict(snapshot, generated_at=snapshot["generated_at"].replace("2026", "2027"))
    yield "ttl", dict(snapshot, ttl_seconds=snapshot["ttl_seconds"] + 1)
    yield "summary", dict(snapshot, summary=snapshot["summary"] + " ")
    yield "resource", dict(snapshot, resources=snapshot["resources"][:-1])
    yield "algorithm", dict(snapshot, signature_algorithm="none")
    yield "cut signature", dict(snapshot, signature=snapshot["signature"][:-2])
    yield "no signature", dict(snapshot, signature="")


def public_changes(snapshot):
    for what, bad in changed(snapshot):
        if "signature" not in what and what != "algorithm":
            yield what, bad
    yield "cut signature", dict(snapshot, signature_ed25519=snapshot["signature_ed25519"][:-2])
    yield "no signature", dict(snapshot, signature_ed25519="")


def public_programs(blocks, folder):
    """fence → command, for those that can run here."""
    for fence, (base, cut, name, command) in PUBLIC.items():
        if shutil.which(command[0]) is None or (
            fence == "py" and importlib.util.find_spec("cryptography") is None
        ):
            print(f"{fence}: skipped, no {'python3-cryptography' if fence == 'py' else command[0]} here")
            continue
        program = folder / name
        head = blocks[base][: blocks[base].index(cut)]
        program.write_text(head + blocks[fence], encoding="utf-8")
        yield fence, [*command, program]


def check_public(blocks, folder, faults):
    key, other_key = folder / "public-key", folder / "other-public-key"
    key.write_text(GOLDEN_PUBLIC_KEY + "\n")
    other_key.write_text(GOLDEN_PUBLIC_KEY[:-2] + ("00" if GOLDEN_PUBLIC_KEY[-2:] != "00" else "01"))
    for fence, command in public_programs(blocks, folder):

        def takes(key_path, path, command=command):
            return subprocess.run([*command, key_path, path], timeout=60, check=False,
                                  capture_output=True).returncode == 0

        for good in PUBLIC_GOLDEN:
            if not takes(key, FOLDER / good):
                faults.append(f"{fence} refuses {good}")
            if takes(other_key, FOLDER / good):
                faults.append(f"{fence} takes {good} under another key")
            snapshot = json.loads((FOLDER / good).read_text(encoding="utf-8"))
            for what, bad in public_changes(snapshot):
                path = folder / "bad.json"
                path.write_text(json.dumps(bad), encoding="utf-8")
                if takes(key, path):
                    faults.append(f"{fence} takes {good} with a changed {what}")
        print(f"{fence}: {len(PUBLIC_GOLDEN)} good snapshot and changed ones, by the public key")


def main():
    blocks = dict(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S))
    faults = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        key = folder / "key"
        key.write_bytes(GOLDEN_KEY + b"\n")
        other_key = folder / "other-key"
        other_key.write_bytes(GOLDEN_KEY + b"x")
        for fence, (needed, name, command, golden) in PROGRAMS.items():
            missing = [tool for tool in needed if shutil.which(tool) is None]
            if missing:
                print(f"{fence}: skipped, no {', '.join(missing)} here")
                continue
            program = folder / name
            program.write_text(blocks[fence], encoding="utf-8")

            def takes(key_path, path):
                return subprocess.run([*command, program, key_path, path], timeout=60, check=False,
                                      capture_output=True).returncode == 0

            runs = 0
            for good in golden:
                if not takes(key, FOLDER / good):
                    faults.append(f"{fence} refuses {good}")
                if takes(other_key, FOLDER / good):
                    faults.append(f"{fence} takes {good} under another key")
                snapshot = json.loads((FOLDER / good).read_text(encoding="utf-8"))
                for what, bad in changed(snapshot):
                    path = folder / "bad.json"
                    path.write_text(json.dumps(bad), encoding="utf-8")
                    if takes(key, path):
                        faults.append(f"{fence} takes {good} with a changed {what}")
                    runs += 1
            print(f"{fence}: {len(golden)} good and {runs} changed snapshots")
        check_public(blocks, folder, faults)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
