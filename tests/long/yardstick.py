# SPDX-License-Identifier: MIT
"""How late a process that does nothing wakes on this machine: where that is late, others keep the machine
busy, and how late a daemon was says nothing of it."""

import subprocess
import sys

CODE = """
import select, sys, time
worst = 0.0
while True:
    due = time.monotonic() + 0.005
    if select.select([sys.stdin], [], [], 0.005)[0]:
        break
    worst = max(worst, time.monotonic() - due)
print(worst)
"""


class Yardstick:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def worst_ms(self):
        """Since it was made; ends it."""
        return 1e3 * float(self.process.communicate()[0])
