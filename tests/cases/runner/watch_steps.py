# SPDX-License-Identifier: MIT
"""Steps that look from outside: metrics, and the scripted embedding service."""

import re
import time

from . import expect
from .story import CaseError
from .upstream import Upstream


class WatchSteps:
    def metrics(self):
        asked, data = self.request("GET /metrics", [])
        connection = self.connection("metrics")
        connection.asked.append(asked)
        connection.send(data)
        text = connection.receive().decoded().decode()
        self.check_secrets(text, "the metrics")
        return expect.parse_metrics(text)

    def step_mark(self, rest, step):
        """Remembers the metrics, for `metric … +N`."""
        self.marks = self.metrics()

    def step_metric(self, rest, step):
        """metric NAME{label="value"} = N | >= N | +N (since the mark or the start). It may still be
        on its way: asked until it holds."""
        found = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (=|>=|<=|>|<|!=|\+) ?(-?[\d.e+-]+)", rest)
        if not found:
            raise CaseError("metric NAME{labels} OPERATOR NUMBER")
        name, labels, operator, number = found.groups()
        labels = dict(re.findall(r'([a-z_]+)="([^"]*)"', labels or ""))
        before = (expect.metric_value(self.marks, name, labels) or 0) if operator == "+" else 0
        compare = expect.COMPARISONS["=" if operator == "+" else operator]
        deadline = time.monotonic() + self.patience
        while True:
            got = expect.metric_value(self.metrics(), name, labels)
            if compare((got or 0) - before, float(number)):
                return
            if time.monotonic() > deadline:
                raise CaseError(f"it is {'not there' if got is None else got}, was {before:g}")
            time.sleep(0.02)

    def get_upstream(self):
        if self.upstream is None:
            self.upstream = Upstream(self.transcript, self.patience)
        return self.upstream

    def step_upstream(self, rest, step):
        """upstream + script | got N requests|texts | total N … | release NAME | saw|lacks REGEX"""
        upstream = self.get_upstream()
        word, _, rest = rest.partition(" ")
        if word == "":
            upstream.set_script([(number, self.fill(text)) for number, text in step.block])
        elif word in ("got", "total"):
            number, _, what = rest.partition(" ")
            upstream.wait_for(what, int(number))
            if word == "total" and upstream.count(what) != int(number):
                raise CaseError(f"upstream: {upstream.count(what)} {what} came, want {number}")
        elif word == "release":
            upstream.release(rest)
        elif word in ("saw", "lacks"):
            expect.match_text(upstream.seen(), "~" if word == "saw" else "!~", rest, "upstream")
        else:
            raise CaseError(f"the upstream has no {word}")
