#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Some thousands of paths that try to leave a root of /fs, in raw, once and twice encoded form, and names of
databases and tables that try to be statements. No byte from outside may come back, nothing may be executed,
and /healthz must not notice.

    tests/long/path_attacks.py --daemon build/release/bin/cortexd
"""

import argparse
import http.client
import itertools
import json
import pathlib
import sqlite3
import sys
import tempfile
import urllib.parse

sys.dont_write_bytecode = True
from daemon import Daemon  # noqa: E402

SECRET = "THE-SECRET-FROM-OUTSIDE"
INSIDE = "the text inside"

UPS = ["..", ".. ", " ..", "...", "....", "..;", ".%00.", "..\\", "..\u2215", "\uff0e\uff0e", "%2e%2e", ".%2e", "%c0%ae%c0%ae", "..%00", "..%0a", "~", "$HOME", "${HOME}", "*", "?", "C:", "file:", "\\\\host"]
SEPARATORS = ["/", "//", "/./", "\\", "%2f", "%5c", "%c0%af", "\u2215", "/\u200b/"]
STARTS = ["docs", "docs/", "docs/sub", "docs/./sub", "docs/link_in", "docs/link_out", "docs/.hidden", "", "/", "nobody", "docs\x00", "DOCS", "docs "]
TARGETS = ["outside/secret.txt", "secret.txt", "etc/passwd", "proc/self/environ", "proc/self/root/etc/passwd", "dev/zero"]
NAMES = ["' OR '1'='1", "'; DROP TABLE t; --", "\"; DROP TABLE t; --", "t\"; ATTACH 'x.db' AS x; --", "t UNION SELECT * FROM secret", "t--", "t/*", "sqlite_master", "sqlite_schema", "main.t", "\"main\".\"t\"", "[t]", "`t`", "t\x01", "(SELECT 1)", "pragma_table_info('t')", "t; PRAGMA writable_schema=1", "%s%n", "../outside", "T", " t", "t "]


def paths():
    for start, up, separator, depth, target in itertools.product(STARTS, UPS, SEPARATORS, (1, 3), TARGETS[:2]):
        yield start + separator + (up + separator) * depth + target
    for start, target in itertools.product(STARTS, TARGETS):
        yield start + "/" + target
        yield start + "/../" + target
    for target in TARGETS:
        yield "/" + target
        yield "../" * 12 + target
        yield "docs/" + "../" * 12 + target
        yield "docs/" + "sub/../" * 300 + "../" + target


def forms(path):
    """Raw where a request line can hold it, once and twice encoded, and with capitals and all bytes encoded."""
    once = urllib.parse.quote(path, safe="")
    yield once
    yield urllib.parse.quote(once, safe="")
    yield "".join(f"%{byte:02X}" for byte in path.encode())
    if all(0x21 <= ord(c) < 0x7F and c not in "#&+" for c in path):
        yield path


class Attacked(Daemon):
    connection = None

    def get(self, target):
        for _ in range(2):
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                self.connection.request("GET", target, headers={"Authorization": f"Bearer {self.token}"})
                response = self.connection.getresponse()
                body = response.read()
                if response.will_close:
                    self.connection = None
                return response.status, body
            except (ConnectionError, http.client.HTTPException):
                self.connection = None
        sys.exit(f"path_attacks: no answer to {target[:300]}")


def build(folder):
    (folder / "root" / "sub").mkdir(parents=True)
    (folder / "outside").mkdir()
    (folder / "outside" / "secret.txt").write_text(SECRET)
    (folder / "secret.txt").write_text(SECRET)
    (folder / "root" / ".hidden").write_text(SECRET)
    (folder / "root" / "a.txt").write_text(INSIDE)
    (folder / "root" / "link_in").symlink_to("a.txt")
    (folder / "root" / "link_out").symlink_to("../outside")
    (folder / "root" / "link_abs").symlink_to(folder / "outside" / "secret.txt")
    (folder / "root" / "link_proc").symlink_to("/proc/self/environ")
    with sqlite3.connect(folder / "app.db") as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (1)")
    db.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--daemon", required=True, type=pathlib.Path)
    program = parser.parse_args().daemon.resolve()
    failures, asked, statuses = [], 0, {}
    with tempfile.TemporaryDirectory(prefix="cortex-paths-") as name:
        folder = pathlib.Path(name).resolve()
        build(folder)
        config = f'[root "docs"]\npath = {folder}/root\n[database "app"]\npath = {folder}/app.db\n'
        daemon = Attacked(program, folder, config).start()
        try:
            status, body = daemon.get("/fs/read_text?path=docs/link_in")
            if status != 200 or INSIDE not in body.decode():
                failures.append(f"what is inside: {status} {body[:200]}")
            more = [f"docs/{link}" for link in ("link_out/secret.txt", "link_abs", "link_proc", ".hidden")]
            for path in itertools.chain(paths(), more):
                for form in forms(path):
                    for endpoint in ("/fs/read_text", "/fs/list"):
                        status, body = daemon.get(f"{endpoint}?path={form}")
                        asked += 1
                        statuses[status] = statuses.get(status, 0) + 1
                        leaks = SECRET.encode() in body or b"root:x:" in body or b"PATH=" in body
                        if leaks or status >= 500 or (status == 200 and INSIDE.encode() not in body and not is_inside(body)):
                            failures.append(f"{endpoint}?path={form[:200]}: {status} {body[:200]}")
            before = (folder / "app.db").read_bytes()
            for attack in NAMES:
                for form in forms(attack):
                    for target in (f"/db/schema/{form}", f"/db/sample?name=app&table={form}", f"/db/sample?name={form}&table=t"):
                        if " " in target:
                            continue
                        status, body = daemon.get(target)
                        asked += 1
                        statuses[status] = statuses.get(status, 0) + 1
                        if status not in (400, 404, 422):
                            failures.append(f"{target[:200]}: {status} {body[:200]}")
            if (folder / "app.db").read_bytes() != before or (folder / "x.db").exists():
                failures.append("the database was changed")
            status, body = daemon.get("/healthz")
            if status != 200 or json.loads(body)["status"] != "ok":
                failures.append(f"/healthz: {status} {body[:200]}")
        finally:
            code = daemon.end()
    if code != 0:
        failures.append(f"the daemon ended with {code}")
    for failure in failures[:20]:
        print("FAIL ", failure)
    print(f"{'FAIL ' if failures else 'ok   '} {asked} attacks; answers by status: {statuses}")
    return 1 if failures else 0


def is_inside(body):
    """A list that names only what lies in the root, or the roots."""
    try:
        entries = json.loads(body)
    except ValueError:
        return False
    return isinstance(entries, list) and all(entry["path"].split("/")[0] == "docs" for entry in entries)


if __name__ == "__main__":
    sys.exit(main())
