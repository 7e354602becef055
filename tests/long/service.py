# SPDX-License-Identifier: MIT
"""What the long tests of the way to an embedding service share: certificates, a small service in
OpenAI's shape, and a daemon that asks it, with searches all at once while its loop is watched."""

import base64
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import ssl
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from common import Cortex  # noqa: E402
from yardstick import Yardstick  # noqa: E402

DIMENSION = 16
LAG_MS = 20.0


class Checks:
    def __init__(self):
        self.all = []

    def check(self, name, good, detail=""):
        self.all.append(bool(good))
        print(f"{'ok   ' if good else 'FAIL '} {name}{': ' if detail else ''}{detail}", flush=True)

    def skip(self, name, why):
        print(f"skip  {name}: {why}", flush=True)

    def end(self):
        print(f"{sum(self.all)} passed, {len(self.all) - sum(self.all)} failed")
        return 0 if all(self.all) else 1


class Certificates:
    """An authority of its own, and what it signs, made by the openssl program."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = folder / "authority.pem"
        self.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=a test's authority", "-keyout", folder / "authority.key",
            "-out", self.authority,
        )  # fmt: skip

    def openssl(self, *words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)

    def make(self, name, hosts, days=2, signed=True):
        """(certificate, key); days: until it expires, from two days ago where that is the past."""
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        request, extra = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extra.write_text(f"subjectAltName = {hosts}\n")
        self.openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={name}", "-keyout", key, "-out", request,
        )  # fmt: skip
        signer = (
            ["-CA", self.authority, "-CAkey", self.folder / "authority.key", "-CAcreateserial"]
            if signed
            else ["-signkey", key]
        )
        self.openssl(
            "x509", "-req", "-in", request, "-extfile", extra, "-days", days, *signer,
            "-out", certificate,
        )  # fmt: skip
        return certificate, key


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        data = []
        for index, text in enumerate(asked["input"]):
            numbers = [float(1 + (len(text) + at) % 7) for at in range(DIMENSION)]
            packed = base64.b64encode(struct.pack(f"<{DIMENSION}f", *numbers)).decode()
            data.append({"object": "embedding", "index": index, "embedding": packed})
        body = json.dumps({"object": "list", "data": data, "model": "m", "usage": {}}).encode()
        self.server.calls += 1
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, certificate=None, key=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = 0
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate, key)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def finish_request(self, request, client_address):
        """On the thread of the connection, so that one that does not shake hands holds up no other."""
        if self.context:
            with contextlib.suppress(OSError):
                super().finish_request(
                    self.context.wrap_socket(request, server_side=True), client_address
                )
        else:
            super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass


@contextlib.contextmanager
def daemon_asking(program, folder, base_url, more=""):
    (folder / "data").mkdir(parents=True)
    config = (
        "[http]\ndeadline = 20s\n[embedding]\nprovider = openai\napi_key = sk-a-test-0123456789\n"
        f"model = m\ndimensions = {DIMENSION}\nbase_url = {base_url}\nattempts = 1\n"
        f"breaker_failures = 0\n{more}"
    )
    daemon = Cortex(str(program), config, folder)
    daemon.yardstick = Yardstick()
    try:
        yield daemon
    finally:
        daemon.yardstick.process.kill()
        daemon.stop()
        with contextlib.suppress(OSError):
            (folder / "ended").write_text(str(daemon.process.returncode))


def ask(daemon, method, path, body=None, timeout=60):
    """(status, answer)"""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=timeout)
    headers = {"Authorization": f"Bearer {daemon.token}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    kind = response.headers["Content-Type"] or ""
    return response.status, json.loads(text) if "json" in kind else text.decode()


def search(daemon, text, mode="semantic"):
    return ask(daemon, "POST", "/vector/search", {"query": text, "mode": mode})


def all_at_once(daemon, name, count):
    """The answers to so many searches, each for a text of its own."""
    answers = [None] * count

    def one(at):
        answers[at] = search(daemon, f"{name} {at}")

    threads = [threading.Thread(target=one, args=(at,)) for at in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def check_on_time(checks, daemon, name):
    """Whether the loop was; skipped where others kept the machine so busy that nobody was."""
    lag = worst_lag_ms(daemon)
    machine = daemon.yardstick.worst_ms()
    if machine > LAG_MS / 2:
        checks.skip(name, f"{lag:g} ms, but a process that does nothing was {machine:.1f} ms late, too")
    else:
        checks.check(name, lag <= LAG_MS * patience(), f"{lag:g} ms")


def worst_lag_ms(daemon):
    """The bound that no probe of the loop was later than. One that was due by now is waited for."""
    before = probes(daemon)[-1][1]
    if not until(lambda: probes(daemon)[-1][1] > before + 1, 10):
        return float("inf")
    found = probes(daemon)
    return 1e3 * min(bound for bound, count in found if count == found[-1][1])


def probes(daemon):
    """[(bound, times that a probe was no later)]"""
    _, text = ask(daemon, "GET", "/metrics")
    found = re.findall(r'cortex_loop_lag_probe_seconds_bucket\{le="([^"]+)"\} (\d+)', text)
    return [(float(bound), int(count)) for bound, count in found]


def patience():
    return float(os.environ.get("CORTEX_CASE_PATIENCE", "1"))


def until(claim, seconds):
    """Whether it came true in time."""
    end = time.monotonic() + seconds * patience()
    while time.monotonic() < end:
        if claim():
            return True
        time.sleep(0.02)
    return False
