# SPDX-License-Identifier: MIT
"""One run of one case: its folder, its daemon, its connections, its upstream, its variables, and
the transcript of all that happened. What the steps mean stands in the *_steps files beside it."""

import contextlib
import hashlib
import os
import pathlib
import re
import secrets
import sqlite3
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "golden"))
import tiny_model  # noqa: E402

from . import expect
from .client_steps import ClientSteps
from .daemon import describe
from .daemon_steps import DaemonSteps
from .response_checks import ResponseChecks
from .story import CaseError, expand_names, parse_lines
from .watch_steps import WatchSteps

SHOWN_BYTES = 3000


class Transcript:
    def __init__(self):
        self.lines = []
        self.lock = threading.Lock()
        self.began = time.monotonic()

    def note(self, text):
        with self.lock:
            self.lines.append(f"{time.monotonic() - self.began:8.3f} {text}")

    def add(self, label, data):
        text = data[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
        more = f" … ({len(data)} bytes)" if len(data) > SHOWN_BYTES else ""
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
        self.note(f"{label} {shown}{more}")


class World(DaemonSteps, ClientSteps, ResponseChecks, WatchSteps):
    def __init__(self, program, directory, patience, contract=None):
        self.program = program
        self.dir = directory
        self.patience = patience
        self.contract = contract  # what every response is held to
        self.transcript = Transcript()
        self.vars = {
            "dir": str(directory),
            "data": str(directory / "data"),
            "config": str(directory / "cortex.conf"),
        }
        self.secrets = []
        self.env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("CORTEX_")
            and key.lower()
            not in (
                "http_proxy",
                "https_proxy",
                "all_proxy",
                "no_proxy",
                "openai_api_key",
                "notify_socket",
                "listen_fds",
                "journal_stream",
            )
        }
        # How busy the machine is decides nothing: the loop may come late and be well.
        self.env["CORTEX_SERVER_LAG_DEGRADED"] = "1h"
        self.config = ""
        self.tokens = {}  # name: (secret, lines of the configuration)
        self.daemon = None
        self.daemons = []
        self.port = None
        self.connections = {}
        self.upstream = None
        self.marks = []
        (directory / "data").mkdir()
        self.write_config()

    def run(self, steps):
        for step in steps:
            self.transcript.note(f"-- line {step.line}: {step.text}")
            try:
                self.do(step)
            except CaseError as error:
                raise CaseError(f"line {step.line}: {step.text}\n    {error}") from None
            except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
                raise CaseError(
                    f"line {step.line}: {step.text}\n" f"    {type(error).__name__}: {error}"
                ) from error

    def do(self, step):
        if found := re.match(r"(\S*?)(>>|>|<)(?:\s+(.*))?$", step.text):
            name, arrow, rest = found.groups()
            work = {">>": self.send_raw, ">": self.send_request, "<": self.receive}[arrow]
            for connection, number in expand_names(name):
                self.vars["n"] = number
                work(connection, self.fill(rest or ""), step)
            return
        word, _, rest = step.text.partition(" ")
        method = getattr(self, "step_" + word.replace("-", "_"), None)
        if method is None:
            raise CaseError(f"there is no step called {word}")
        # A repeated block and a script of steps fill their variables later, line by line.
        method(rest.strip() if word == "repeat" else self.fill(rest.strip()), step)

    def finish(self):
        """Ends a case that went well: clients leave, the daemon is asked to, and does cleanly."""
        for connection in self.connections.values():
            connection.socket.close()
        if self.upstream:
            self.upstream.close()
        if self.daemon and self.daemon.alive:
            self.daemon.send_signal("TERM")
            code = self.daemon.wait_exit(self.patience * 2)
            if code != 0:
                raise CaseError(f"at the end cortexd ended with {describe(code)}")
        for daemon in self.daemons:
            daemon.check_sanitizer()
            self.check_secrets(daemon.log.text(), "the log")

    def clean_up(self):
        for connection in self.connections.values():
            connection.socket.close()
        if self.upstream:
            self.upstream.close()
        for daemon in self.daemons:
            daemon.kill()

    def fill(self, text):
        return re.sub(r"\$\{([^}]*)\}", lambda found: self.value(found.group(1)), text)

    def value(self, name):
        if found := re.fullmatch(r"'([^']*)'\s*\*\s*(\d+)", name):
            return found.group(1) * int(found.group(2))
        if name == "upstream":
            return self.get_upstream().url
        if name == "token" or name.startswith("token."):
            return self.token(name[6:] or None)
        if name.startswith("sha256."):
            return hashlib.sha256(self.token(name[7:]).encode()).hexdigest()
        if name not in self.vars:
            raise CaseError(f"there is no variable ${{{name}}}")
        return str(self.vars[name])

    def token(self, name=None):
        """A token of the case by name, else its first, else the one the daemon made."""
        if name:
            return self.tokens[name][0]
        if self.tokens:
            return next(iter(self.tokens.values()))[0]
        secret = (self.dir / "data" / "token").read_text(encoding="ascii").strip()
        if secret not in self.secrets:
            self.secrets.append(secret)
        return secret

    def write_config(self):
        tokens = "".join(lines for _, lines in self.tokens.values())
        path = self.dir / "cortex.conf"
        path.touch(mode=0o600)
        path.write_text(self.config + tokens, encoding="utf-8")

    def step_config(self, rest, step):
        """The configuration file, rewritten where the step comes again."""
        self.config = "\n".join(self.fill(text) for _, text in step.block) + "\n"
        self.write_config()

    def step_token(self, rest, step):
        """token NAME SCOPES [expires TIME]"""
        name, _, scopes = rest.partition(" ")
        scopes, _, expires = scopes.partition(" expires ")
        secret = "case-" + secrets.token_hex(16)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        lines = f'[token "{name}"]\nsha256 = {digest}\nscopes = {scopes}\n'
        if expires:
            lines += f"expires = {expires}\n"
        self.tokens[name] = (secret, lines)
        self.secrets.append(secret)
        self.write_config()

    def step_secret(self, rest, step):
        """A text that must never stand in a log."""
        self.secrets.append(rest)

    def step_env(self, rest, step):
        name, _, value = rest.partition("=")
        self.env[name] = value

    def step_sqlite(self, rest, step):
        """sqlite NAME: its items are statements for a database of that name, made when it is not there"""
        with contextlib.closing(sqlite3.connect(self.dir / rest)) as db:
            for item in step.items():
                db.execute(self.fill(item.text))
            db.commit()

    def step_file(self, rest, step):
        path = self.dir / rest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(self.fill(t) for _, t in step.block) + "\n", encoding="utf-8")

    def step_model(self, rest, step):
        """model NAME [OPTION=VALUE …]: a small sentence-transformers model in that folder"""
        name, *options = rest.split()
        tiny_model.write(self.dir / name, **dict(option.split("=", 1) for option in options))

    def step_cut(self, rest, step):
        """cut NAME BYTES: takes so many bytes from the end of a file"""
        name, count = rest.split()
        path = self.dir / name
        path.write_bytes(path.read_bytes()[: -int(count)])

    def step_remove(self, rest, step):
        (self.dir / rest).unlink()

    def step_repeat(self, rest, step):
        steps = parse_lines(step.block)
        for number in range(1, int(rest) + 1):
            self.vars["i"] = str(number)
            for inner in steps:
                try:
                    self.do(inner)
                except CaseError as error:
                    raise CaseError(
                        f"round {number}, line {inner.line}: {inner.text}\n" f"    {error}"
                    ) from None

    def step_check(self, rest, step):
        """check A = B, A != B, A ~ REGEX"""
        found = re.fullmatch(r"(.*?) (=|!=|~|!~) (.*)", rest, re.S)
        left, operator, right = found.groups()
        if operator == "!=":
            if left == right:
                raise CaseError(f"both are {left}")
        else:
            expect.match_text(left, operator, right, "check")
