# SPDX-License-Identifier: MIT
"""What the benchmarks share: a cortexd on loopback with a folder of its own, wrk, a plain client,
and what /proc knows of a process."""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
READY_SECONDS = 60


def need(*programs):
    """Ends the benchmark with a clear word where a program is missing."""
    packages = {"nginx": "nginx-light"}
    missing = [
        name for name in programs if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    ]
    if missing:
        names = " ".join(packages.get(name, name) for name in missing)
        sys.exit(
            f"{pathlib.Path(sys.argv[0]).name}: {', '.join(missing)} is missing: "
            f"apt-get install {names}"
        )


def arguments(description, **more):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--daemon", default=str(ROOT / "build/release/bin/cortexd"))
    for name, (default, text) in more.items():
        parser.add_argument(
            "--" + name, type=type(default), default=default, help=f"{text} ({default})"
        )
    options = parser.parse_args()
    if not os.access(options.daemon, os.X_OK):
        sys.exit(f"{parser.prog}: no program at {options.daemon}; build it or give --daemon")
    return options


class Cortex:
    def __init__(self, program, config, directory):
        self.directory = pathlib.Path(directory)
        (self.directory / "cortex.conf").write_text(config, encoding="utf-8")
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("CORTEX_")
        }
        port_file = self.directory / "port"
        self.log = open(self.directory / "log", "wb")
        self.process = subprocess.Popen(
            [
                program,
                "--config",
                str(self.directory / "cortex.conf"),
                "--data-dir",
                str(self.directory / "data"),
                "--listen",
                "127.0.0.1:0",
                "--port-file",
                str(port_file),
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.log,
        )
        deadline = time.monotonic() + READY_SECONDS
        while not (port_file.exists() and port_file.read_text()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit("cortexd did not start: " + (self.directory / "log").read_text()[-2000:])
            time.sleep(0.01)
        self.port = int(port_file.read_text())
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = (self.directory / "data" / "token").read_text().strip()
        self.pid = self.process.pid

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@contextlib.contextmanager
def cortex(program, config=""):
    directory = tempfile.mkdtemp(prefix="cortex-bench-")
    daemon = None
    try:
        os.mkdir(os.path.join(directory, "data"))
        daemon = Cortex(program, config, directory)
        yield daemon
    finally:
        if daemon:
            daemon.stop()
        shutil.rmtree(directory, ignore_errors=True)


class Client:
    """One keep-alive connection."""

    def __init__(self, daemon):
        self.connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=120)
        self.headers = {"Authorization": f"Bearer {daemon.token}"}

    def ask(self, method, path, body=None, wanted=(200, 201, 204)):
        headers = dict(self.headers)
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        self.connection.request(method, path, data, headers)
        response = self.connection.getresponse()
        answer = response.read()
        if response.status not in wanted:
            sys.exit(
                f"{method} {path}: {response.status} {answer[:500].decode('utf-8', 'replace')}"
            )
        return answer


def wrk(url, seconds, connections=64, headers=(), script=None):
    """{"rate", "p50_ms", "p99_ms", "errors"} of one run with one thread."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for header in headers:
        command += ["-H", header]
    if script:
        command += ["-s", str(script)]
    text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout

    def milliseconds(percent):
        found = re.search(rf"\s{percent}%\s+([\d.]+)(us|ms|s)", text)
        return float(found.group(1)) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found.group(2)]

    errors = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", text))
    errors += sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    return {
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
        "p50_ms": milliseconds(50),
        "p99_ms": milliseconds(99),
        "errors": errors,
    }


def rss_bytes(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1)) * 1024


def cpu_seconds(pid):
    """User and system time of a process, all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
