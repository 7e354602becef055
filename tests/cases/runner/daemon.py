# SPDX-License-Identifier: MIT
"""One cortexd process: started, its log read as it comes, signalled, waited for."""

import os
import re
import signal
import subprocess
import threading
import time

from .story import CaseError

SANITIZER = re.compile(
    r"==\d+==ERROR: |runtime error: |WARNING: ThreadSanitizer|" r"SUMMARY: \w+Sanitizer"
)


class Log:
    """The lines of a stream, kept as they arrive; one can wait for one of them."""

    def __init__(self, stream, transcript, name):
        self.lines = []
        self.seen = 0  # lines that an earlier `log` step has passed
        self.ended = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(
            target=self.read, args=(stream, transcript, name), daemon=True
        )
        self.thread.start()

    def read(self, stream, transcript, name):
        for raw in stream:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            transcript.note(f"{name}: {line[:2000]}")
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def text(self):
        with self.changed:
            return "\n".join(self.lines)

    def wait_for(self, pattern, seconds):
        """The first line from where the last wait ended that matches; CaseError if none comes."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while True:
                for at in range(self.seen, len(self.lines)):
                    if re.search(pattern, self.lines[at]):
                        self.seen = at + 1
                        return self.lines[at]
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    raise CaseError(f"log: no line matches {pattern}")
                self.changed.wait(left)

    def finish(self):
        self.thread.join(5)


class Daemon:
    def __init__(self, program, arguments, environment, cwd, transcript, name="log"):
        transcript.note(f"$ cortexd {' '.join(arguments)}")
        self.process = subprocess.Popen(
            [program, *arguments],
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.transcript = transcript
        self.log = Log(self.process.stderr, transcript, name)

    @property
    def alive(self):
        return self.process.poll() is None

    def wait_port(self, path, seconds):
        """The port it has written when it was ready."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.alive:
                self.log.finish()
                raise CaseError(
                    f"cortexd ended with {describe(self.process.returncode)} "
                    "instead of getting ready"
                )
            try:
                text = path.read_text(encoding="ascii")
            except FileNotFoundError:
                text = ""
            if text:
                if not re.fullmatch(r"\d{1,5}\n?", text):
                    raise CaseError(f"the port file holds {text!r}")
                return int(text)
            time.sleep(0.002)
        raise CaseError(f"cortexd was not ready within {seconds} s")

    def send_signal(self, name):
        self.transcript.note(f"SIG{name} to cortexd")
        os.kill(self.process.pid, getattr(signal, "SIG" + name))

    def wait_exit(self, seconds):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise CaseError(f"cortexd did not end within {seconds} s") from None
        self.log.finish()
        self.transcript.note(f"cortexd ended with {describe(code)}")
        return code

    def kill(self):
        if self.alive:
            self.process.kill()
        self.process.wait()
        self.log.finish()

    def check_sanitizer(self):
        if SANITIZER.search(self.log.text()):
            raise CaseError("a sanitizer reported an error (see the log above)")


def describe(code):
    if code < 0:
        return f"SIG{signal.Signals(-code).name.removeprefix('SIG')}"
    return f"status {code}"
