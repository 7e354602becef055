# SPDX-License-Identifier: MIT
"""A daemon of the long tests: alone on loopback, in a folder of its own, started as often as a test wants."""

import os
import signal
import subprocess
import sys
import time

PATIENCE = float(os.environ.get("CORTEX_CASE_PATIENCE", "1"))
LIMIT_SECONDS = 60 * PATIENCE


class Daemon:
    """config is written to a file, flags and variables come beside it. Its log goes on over restarts."""

    def __init__(self, program, folder, config=None, flags=(), variables=None, listen="127.0.0.1:0"):
        self.program, self.folder, self.data = program, folder, folder / "data"
        self.log_file = folder / "log"
        self.flags = ["--data-dir", self.data, "--listen", listen, *flags]
        if config is not None:
            self.configure(config)
            self.flags += ["--config", folder / "cortex.conf"]
        # Of the variables of whoever runs this none counts, and how busy the machine is decides nothing.
        self.variables = {k: v for k, v in os.environ.items() if not k.startswith("CORTEX_")}
        self.variables["CORTEX_SERVER_LAG_DEGRADED"] = "1h"
        self.variables.update(variables or {})
        self.process = None

    def configure(self, config):
        (self.folder / "cortex.conf").write_text(config)

    def start(self):
        port_file = self.folder / "port"
        port_file.unlink(missing_ok=True)
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [self.program, *self.flags, "--port-file", port_file],
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        limit = time.monotonic() + LIMIT_SECONDS
        while not (port_file.exists() and port_file.read_text()):
            if self.process.poll() is not None or time.monotonic() > limit:
                self.process.kill()
                sys.exit(f"the daemon did not start: {self.log()[-2000:]}")
            time.sleep(0.002)
        self.port = int(port_file.read_text())
        self.token = (self.data / "token").read_text().strip()
        return self

    def end(self, number=signal.SIGTERM):
        """Its exit status."""
        self.process.send_signal(number)
        try:
            return self.process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def log(self):
        return self.log_file.read_text(errors="replace")
