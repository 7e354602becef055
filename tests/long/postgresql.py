#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Looks into a real PostgreSQL server, which is started for that in a folder of its own and listens on a
UNIX socket alone.

    tests/long/postgresql.py --daemon build/release/bin/cortexd

Exits with 77 where there is no server's program (Debian's package postgresql has it).
"""

import argparse
import contextlib
import glob
import http.client
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from daemon import Daemon  # noqa: E402

START_SECONDS = 60
SQL = """
CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL, note text DEFAULT 'none', photo bytea,
                        good boolean, weight double precision, big numeric, born date);
CREATE UNIQUE INDEX by_name ON customers (name, lower(note));
CREATE TABLE "order" (id bigint PRIMARY KEY, customer int REFERENCES customers (id), total real);
CREATE VIEW rich AS SELECT name FROM customers WHERE id > 1;
CREATE VIEW sleepy AS SELECT pg_sleep(60)::text AS nothing;
CREATE VIEW writing AS SELECT nextval('customers_id_seq') AS n;
CREATE SCHEMA other;
CREATE TABLE other.things (x int);
CREATE TABLE "we""ird; DROP TABLE customers --" (x text);
CREATE TABLE hidden (secret text);
CREATE TABLE wide (t text);
INSERT INTO customers (name, note, photo, good, weight, big, born) VALUES
    ('Ann', 'first', NULL, true, 1.5, 12345678901234567890.5, '2020-02-29'),
    ('Bea', NULL, '\\x00ff10', false, 'NaN', NULL, NULL);
INSERT INTO "order" VALUES (1, 1, 12.5);
INSERT INTO "we""ird; DROP TABLE customers --" VALUES ('fine');
INSERT INTO hidden VALUES ('do not read me');
INSERT INTO wide SELECT repeat('x', 100000) FROM generate_series(1, 200);
CREATE TABLE alembic_version (version_num text);
INSERT INTO alembic_version VALUES ('abc123');
CREATE ROLE looker LOGIN;
GRANT SELECT ON ALL TABLES IN SCHEMA public, other TO looker;
GRANT USAGE ON SCHEMA other TO looker;
GRANT USAGE ON SEQUENCE customers_id_seq TO looker;
REVOKE ALL ON hidden FROM looker;
"""
failures = []


def check(what, good, got=None):
    print(("ok    " if good else "FAIL  ") + what + ("" if good else f": {got}"))
    if not good:
        failures.append(what)


def programs():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    return pathlib.Path(found[-1]).parent if found else None


def as_owner(command):
    """The server refuses to run as root."""
    if os.getuid() != 0:
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--", *command]


@contextlib.contextmanager
def server(folder, binaries):
    if os.getuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    data = folder / "data"
    subprocess.run(
        as_owner([binaries / "initdb", "-D", data, "-A", "trust", "-U", "postgres"]),
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    process = subprocess.Popen(
        as_owner([binaries / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses="]),
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    try:
        psql = [binaries / "psql", "-h", folder, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-q"]
        until = time.monotonic() + START_SECONDS
        while subprocess.run([*psql, "-c", ""], stderr=subprocess.DEVNULL, check=False).returncode:
            if process.poll() is not None or time.monotonic() > until:
                sys.exit("postgresql: the server did not start")
            time.sleep(0.1)
        subprocess.run(psql, input=SQL, text=True, check=True)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


class Looker(Daemon):
    def __init__(self, program, folder, dsn):
        (folder / "gone.dsn").write_text("host=/nowhere user=x password=not-to-be-shown\n")
        (folder / "gone.dsn").chmod(0o600)
        self.silent = socket.create_server(("127.0.0.1", 0))
        (folder / "silent.dsn").write_text(
            f"host=127.0.0.1 port={self.silent.getsockname()[1]} user=x dbname=x\n"
        )
        super().__init__(
            program,
            folder,
            config='[database "shop"]\nengine = postgresql\ndsn_env = SHOP_DSN\ntimeout = 700ms\n'
            '[database "gone"]\nengine = postgresql\ndsn_file = gone.dsn\ntimeout = 700ms\n'
            '[database "silent"]\nengine = postgresql\ndsn_file = silent.dsn\ntimeout = 700ms\n',
            variables={"SHOP_DSN": dsn},
        )

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return response.status, json.loads(body), body


def look(daemon, psql_count):
    status, databases, body = daemon.get("/db/list")
    check("list", status == 200, body)
    shop = databases[0]
    check("list: figures", (shop["engine"], shop["dsn_ref"], shop["table_count"], shop["row_count"],
                            shop["last_migration"])
          == ("postgresql", "env:SHOP_DSN", 6, 205, "abc123"), shop)
    check("list: who cannot be reached", databases[1]["table_count"] is None, databases[1])
    check("list: no secret", "not-to-be-shown" not in body and "nowhere" not in body, body)

    status, schema, body = daemon.get("/db/schema/shop")
    check("schema", status == 200, body)
    tables = {table["name"]: table for table in schema["tables"]}
    check("schema: what may be seen", sorted(tables) == sorted(
        ["alembic_version", "customers", "order", "other.things", "rich", "sleepy", "wide",
         'we"ird; DROP TABLE customers --', "writing"]), sorted(tables))
    columns = {column["name"]: column for column in tables["customers"]["columns"]}
    check("schema: columns", columns["id"]["primary_key"] and not columns["name"]["nullable"]
          and columns["note"]["default"] == "'none'::text" and columns["photo"]["type"] == "bytea",
          columns)
    check("schema: indexes", {"name": "by_name", "unique": True, "columns": ["name", "lower(note)"]}
          in tables["customers"]["indexes"], tables["customers"]["indexes"])
    check("schema: foreign keys", tables["order"]["foreign_keys"]
          == [{"columns": ["customer"], "table": "customers", "references": ["id"]}],
          tables["order"]["foreign_keys"])
    check("schema: rows", tables["customers"]["row_count"] == 2
          and tables["rich"]["row_count"] is None, tables["customers"]["row_count"])
    check("schema: nothing of the engine's own", "quoted" not in body)

    status, sample, body = daemon.get("/db/sample?name=shop&table=customers")
    check("sample", status == 200 and sample["rows"][0] == {
        "id": 1, "name": "Ann", "note": "first", "photo": None, "good": True, "weight": 1.5,
        "big": "12345678901234567890.5", "born": "2020-02-29"}, body)
    check("sample: values that JSON has not", sample["rows"][1]["photo"] == {"base64": "AP8Q", "bytes": 3}
          and sample["rows"][1]["weight"] == "NaN", sample["rows"][1])
    status, sample, body = daemon.get("/db/sample?name=shop&table=customers&limit=1")
    check("sample: limit", len(sample["rows"]) == 1 and sample["truncated"], body)
    status, sample, body = daemon.get("/db/sample?name=shop&table=other.things")
    check("sample: another schema", status == 200 and sample["rows"] == [], body)
    weird = "we%22ird%3B%20DROP%20TABLE%20customers%20--"
    status, sample, body = daemon.get(f"/db/sample?name=shop&table={weird}")
    check("sample: a name that would be a statement", sample["rows"] == [{"x": "fine"}], body)
    for table in ("hidden", "nobody", "pg_class", "customers%22%3B%20DROP%20TABLE%20wide%3B--"):
        status, _, body = daemon.get(f"/db/sample?name=shop&table={table}")
        check(f"sample: {table} is not there", status == 404, body)
    status, sample, body = daemon.get("/db/sample?name=shop&table=wide&limit=1000")
    check("sample: no more than may be told", status == 200 and sample["truncated"]
          and len(body) <= 110 * 1024 and len(sample["rows"]) >= 10, (status, len(body)))

    begun = time.monotonic()
    status, sample, body = daemon.get("/db/sample?name=shop&table=sleepy")
    check("sample: cut off at its time", status == 200 and sample["truncated"]
          and time.monotonic() - begun < 10, (status, body))
    status, _, body = daemon.get("/db/sample?name=shop&table=writing")
    check("sample: nothing is written", status == 409, body)
    check("tables are as they were", psql_count() == "2", psql_count())
    status, _, body = daemon.get("/db/schema/silent")
    check("a server that says nothing is 503", status == 503, body)
    status, _, body = daemon.get("/db/schema/gone")
    check("who cannot be reached is 503", status == 503, body)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--daemon", required=True, type=pathlib.Path)
    program = parser.parse_args().daemon.resolve()
    binaries = programs()
    if binaries is None or (os.getuid() == 0 and not shutil.which("setpriv")):
        print("skip  there is no PostgreSQL server here: apt-get install postgresql")
        return 77
    with tempfile.TemporaryDirectory(prefix="cortex-pg-") as name, tempfile.TemporaryDirectory() as mine:
        folder = pathlib.Path(name)
        with server(folder, binaries):
            count = [binaries / "psql", "-h", folder, "-U", "postgres", "-tAc", "SELECT count(*) FROM customers"]
            daemon = Looker(program, pathlib.Path(mine), f"host={folder} user=looker dbname=postgres").start()
            try:
                look(daemon, lambda: subprocess.run(count, capture_output=True, text=True, check=True).stdout.strip())
            finally:
                code = daemon.end()
            check("the daemon ends", code == 0, code)
            check("no secret in the log", "not-to-be-shown" not in daemon.log())
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
