#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the end-to-end cases in this folder against a real cortexd.

    run.py --daemon build/release/bin/cortexd [PATTERN …]

A case is a short story: what is configured, what is sent, what must come back, byte for byte where
that matters. Every case has a daemon, a folder and, where it asks for one, a scripted embedding
service of its own, all on loopback. Nothing sleeps to wait: a step waits for an event (the port
file, a response, a log line, a request at the upstream), each with a limit. README.md beside this
file is the manual of the language; in short:

    # The first comment is the title.
    config                                the configuration file
        [embedding]
        provider = openai
        base_url = ${upstream}/v1
    upstream                              one line per request; the last serves the rest
        barrier 10
    token reader vector                   a token: name and scopes
    start                                 cortexd, until it is ready
    c[1-10]> POST /vector/search {"query": "q${n}"}      ten clients ask …
    > GET /healthz                                       … another is answered meanwhile
    < 200
        json {"status": "ok"}
    c[1-10]< 200                          … then all ten
        exact {"hits": [], "query": "q${n}", …}
    a>> "GET / HTTP/1.1\\r\\n" "X: " 'y'*70000 "\\r\\n\\r\\n"    raw bytes
    a< 431
        problem headers_too_large
    a< closed
    metric cortex_http_protocol_errors_total{status="431"} +1
    log ~ "msg":"listening"
    signal TERM
    exits 0

PATTERN selects the cases whose name contains it, or begins with it if it is a number. The last line
printed is `N passed, N failed`; the exit status is 1 when a case failed or none ran.
CORTEX_CASE_PATIENCE stretches every limit by a factor (for sanitizers and slow machines). Python's
standard library is all it needs.
"""

import argparse
import concurrent.futures
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
from runner.contract import fetch_contract  # noqa: E402
from runner.story import CaseError, read_case  # noqa: E402
from runner.world import World  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE_SECONDS = 30.0


def run_case(path, program, patience, contract, keep):
    """(name, title, seconds, failure or None, transcript) of one case."""
    began = time.monotonic()
    directory = pathlib.Path(tempfile.mkdtemp(prefix=f"cortex-case-{path.stem[:4]}-"))
    world = World(program, directory, patience, contract)
    failure = None
    title = ""
    try:
        title, steps = read_case(path)
        world.run(steps)
        world.finish()
    except CaseError as error:
        failure = str(error)
    except Exception:  # a fault of the runner fails its case, not the run
        failure = traceback.format_exc()
    finally:
        world.clean_up()
        if keep and failure:
            world.transcript.note(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return path.stem, title, time.monotonic() - began, failure, world.transcript.lines


def published(program, patience):
    """The contract, as a daemon of this program publishes it."""
    with tempfile.TemporaryDirectory(prefix="cortex-case-contract-") as directory:
        world = World(program, pathlib.Path(directory), patience)
        try:
            return fetch_contract(world)
        finally:
            world.clean_up()


def select(patterns, folder):
    cases = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.case"))
    if patterns:
        cases = [
            case
            for case in cases
            if any(
                case.stem.startswith(pattern) if pattern.isdigit() else pattern in case.stem
                for pattern in patterns
            )
        ]
    return cases


def main():
    parser = argparse.ArgumentParser(description="Runs the end-to-end cases.")
    parser.add_argument("--daemon", default="build/release/bin/cortexd", help="the cortexd to test")
    parser.add_argument("--folder", type=pathlib.Path, default=HERE, help="where the cases are")
    parser.add_argument("--jobs", type=int, default=2, help="cases at once (2)")
    parser.add_argument("--list", action="store_true", help="list the cases and their titles")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a case that failed")
    parser.add_argument("--verbose", action="store_true", help="print every transcript")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN")
    options = parser.parse_args()

    cases = select(options.patterns, options.folder)
    if options.list:
        for case in cases:
            print(f"{case.stem:44} {read_case(case)[0]}")
        return 0
    program = str(pathlib.Path(options.daemon).resolve())
    if not os.access(program, os.X_OK):
        print(f"run.py: no program at {program}; build it or give --daemon", file=sys.stderr)
        return 2

    patience = PATIENCE_SECONDS * float(os.environ.get("CORTEX_CASE_PATIENCE", "1"))
    try:
        contract = published(program, patience)
    except (CaseError, ValueError) as error:
        print(f"FAIL  the contract that {program} publishes\n  {error}\n0 passed, 1 failed")
        return 1
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(max(1, options.jobs)) as pool:
        for name, title, seconds, failure, transcript in pool.map(
            lambda case: run_case(case, program, patience, contract, options.keep), cases
        ):
            if failure is None:
                passed += 1
                print(f"ok    {name}  {title} ({seconds:.2f} s)", flush=True)
            else:
                failed += 1
                print(f"FAIL  {name}  {title} ({seconds:.2f} s)\n  {failure}", flush=True)
            if failure is not None or options.verbose:
                print("\n".join("      | " + line for line in transcript), flush=True)
    if not options.patterns:
        for operation in contract.unserved():
            failed += 1
            print(f"FAIL  no case has seen {operation} go well")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
