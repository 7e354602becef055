# SPDX-License-Identifier: MIT
"""Steps about the process: started, signalled, waited for, its log read."""

import subprocess
import time
from pathlib import Path

from . import expect
from .daemon import Daemon, describe
from .story import CaseError, read_bytes


class DaemonSteps:
    def arguments(self):
        return [
            "--config",
            self.vars["config"],
            "--data-dir",
            self.vars["data"],
            "--listen",
            "127.0.0.1:0",
            "--port-file",
            str(self.dir / "port"),
        ]

    def step_start(self, rest, step):
        """start [ARGUMENTS] | start fails [CODE]; items: log ~ REGEX"""
        port_file = self.dir / "port"
        if rest.startswith("fails"):
            self.start_failing(rest[5:].strip(), step)
            return
        port_file.unlink(missing_ok=True)
        self.daemon = Daemon(
            self.program, self.arguments() + rest.split(), self.env, self.dir, self.transcript
        )
        self.daemons.append(self.daemon)
        self.port = self.daemon.wait_port(port_file, self.patience * 2)
        self.vars["port"] = str(self.port)
        for connection in self.connections.values():
            connection.socket.close()
        self.connections = {}
        self.marks = []

    def start_failing(self, code, step):
        port_file = self.dir / "port-of-second"
        arguments = self.arguments()
        arguments[arguments.index("--port-file") + 1] = str(port_file)
        daemon = Daemon(self.program, arguments, self.env, self.dir, self.transcript, "second")
        self.daemons.append(daemon)
        got = daemon.wait_exit(self.patience)
        if got <= 0 or (code and got != int(code)):
            raise CaseError(f"cortexd ended with {describe(got)}, want {code or 'a failure'}")
        if port_file.exists():
            raise CaseError("it wrote its port file although it failed")
        for item in step.items():
            word, _, rest = self.fill(item.text).partition(" ")
            expect.match_text(daemon.log.text(), rest[:1], rest[1:].strip(), word)

    def step_signal(self, rest, step):
        self.daemon.send_signal(rest)

    def step_exits(self, rest, step):
        """exits CODE | exits nonzero | exits SIGNAL"""
        got = self.daemon.wait_exit(self.patience * 2)
        wanted = {"nonzero": got > 0, "": True}.get(rest)
        if wanted is None:
            wanted = describe(got) in (f"status {rest}", f"SIG{rest}")
        if not wanted:
            raise CaseError(f"cortexd ended with {describe(got)}, want {rest}")

    def step_stop(self, rest, step):
        self.daemon.send_signal("TERM")
        self.step_exits("0", step)

    def step_kill(self, rest, step):
        self.daemon.send_signal("KILL")
        self.step_exits("KILL", step)

    def step_run(self, rest, step):
        """run ARGUMENTS: cortexd to its end. Items: exit CODE, stdin "…", stdout|stderr ~ REGEX"""
        items = [self.fill(item.text) for item in step.items()]
        stdin = b"".join(read_bytes(item[6:]) for item in items if item.startswith("stdin "))
        done = subprocess.run(
            [self.program, *rest.split()],
            input=stdin,
            capture_output=True,
            env=self.env,
            cwd=self.dir,
            timeout=self.patience * 2,
            check=False,
        )
        self.transcript.note(f"$ cortexd {rest}: {describe(done.returncode)}")
        self.transcript.add("stdout", done.stdout)
        self.transcript.add("stderr", done.stderr)
        code = 0
        for item in items:
            word, _, rest = item.partition(" ")
            if word == "exit":
                code = int(rest)
            elif word in ("stdout", "stderr"):
                operator, _, want = rest.partition(" ")
                expect.match_text(
                    getattr(done, word).decode("utf-8", "replace"), operator, want, word
                )
            elif word != "stdin":
                raise CaseError(f"run has no {word}")
        if done.returncode != code:
            raise CaseError(f"cortexd ended with {describe(done.returncode)}, want status {code}")

    def step_files(self, rest, step):
        """files hold TEXT | files lack TEXT: bytes of any file under the data directory, in any case.
        Waits until it is so: SQLite may be carrying them from one file to the other just now."""
        word, _, text = rest.partition(" ")
        deadline = time.monotonic() + self.patience
        while True:
            found = [str(path) for path in self.files_with(text.lower().encode())]
            if bool(found) == (word == "hold"):
                return
            if time.monotonic() > deadline:
                raise CaseError(f"{text} stands in {', '.join(found) or 'no file'}")
            time.sleep(0.02)

    def step_environment(self, rest, step):
        """environment lacks TEXT: what /proc shows of the daemon's, whatever program stands in front."""
        pid = (Path(self.vars["data"]) / "lock").read_text(encoding="ascii").strip()
        text = rest.removeprefix("lacks ")
        if text.encode() in Path(f"/proc/{pid}/environ").read_bytes():
            raise CaseError(f"{text} stands in /proc/{pid}/environ")

    def files_with(self, data):
        for path in sorted(Path(self.vars["data"]).rglob("*")):
            try:
                if path.is_file() and data in path.read_bytes().lower():
                    yield path
            except FileNotFoundError:
                pass  # removed since it was listed

    def step_log(self, rest, step):
        """log ~ REGEX waits for a line; log !~ REGEX says that none has come."""
        operator, _, pattern = rest.partition(" ")
        if operator == "~":
            self.daemon.log.wait_for(pattern, self.patience)
        else:
            expect.match_text(self.daemon.log.text(), operator, pattern, "log")
