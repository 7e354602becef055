# SPDX-License-Identifier: MIT
"""What a case, and what every case, expects of a response."""

import hashlib
import hmac
import json
import re

from . import expect
from .story import CaseError, read_bytes


class ResponseChecks:
    def check_every(self, response, whole=True):
        """What holds for every response, whatever the case asks; whole: its body has been read."""
        if not re.fullmatch(r"[0-9a-f]{8}", response.header("X-Request-ID") or ""):
            raise CaseError(f"X-Request-ID is {response.header('X-Request-ID')!r}")
        if not response.header("X-Correlation-ID"):
            raise CaseError("X-Correlation-ID is missing")
        self.check_secrets("\n".join(f"{k}: {v}" for k, v in response.headers), "a header field")
        if self.contract:
            self.contract.check(response.asked, response, whole)
        kind = response.header("Content-Type") or ""
        if response.status >= 400 and kind.startswith("application/problem+json") and response.body:
            problem = json.loads(response.decoded())
            expect.match_json(
                problem,
                {
                    "type": "about:blank",
                    "title": "<string>",
                    "status": response.status,
                    "detail": "<string>",
                    "reason": "<~^[a-z_]+$>",
                    "correlation_id": response.header("X-Correlation-ID"),
                },
                "problem",
            )
            self.check_secrets(json.dumps(problem), "an error")

    def check_secrets(self, text, where):
        for secret in self.secrets:
            if secret in text:
                raise CaseError(f"a secret stands in {where}")

    @staticmethod
    def check_status(response, wanted):
        for word in wanted.split("|"):
            if re.fullmatch(word.strip().replace("x", r"\d"), str(response.status)):
                return
        raise CaseError(
            f"status {response.status}, want {wanted}: "
            f"{response.decoded()[:500].decode('utf-8', 'replace')}"
        )

    def check_items(self, response, items):
        for item in items:
            self.check_item(response, self.fill(item))

    def check_item(self, response, text):
        word, _, rest = text.partition(" ")
        if word in ("json", "exact"):
            expect.match_json(
                json.loads(response.decoded()), json.loads(rest), "json", word == "exact"
            )
        elif word == "problem":
            if not (response.header("Content-Type") or "").startswith("application/problem+json"):
                raise CaseError(f"Content-Type is {response.header('Content-Type')}")
            reason, _, detail = rest.partition(" ")
            got = json.loads(response.decoded())
            expect.match_json(got, {"reason": reason}, "problem")
            if detail:
                expect.match_text(got["detail"], detail[0], detail[1:].strip(), "detail")
        elif word == "fault":  # fault body.top_k range
            where, _, kind = rest.partition(" ")
            faults = json.loads(response.decoded()).get("errors", [])
            found = [f for f in faults if ".".join(map(str, f["loc"])) == where]
            if not found or (kind and found[0]["type"] != kind):
                raise CaseError(f"no fault of {rest} among {expect.show(faults)}")
        elif word == "body":
            operator, _, want = rest.partition(" ")
            if operator == "bytes":
                expect.match_json(len(response.decoded()), int(want), "bytes of the body")
            elif operator == "is":
                expect.match_text(response.decoded(), "=", read_bytes(want), "body")
            else:
                expect.match_text(
                    response.decoded().decode("utf-8", "replace"), operator, want, "body"
                )
        elif word == "save":
            name, _, source = (part.strip() for part in rest.partition("="))
            self.vars[name] = self.pick(response, source)
        elif word == "signed":
            self.check_signature(json.loads(response.decoded()), rest)
        elif word == "no":
            if response.header(rest) is not None:
                raise CaseError(f"{rest}: {response.header(rest)} was not to be there")
        elif found := re.match(r"([A-Za-z0-9-]+)(:| ~| !~) ?(.*)$", text):
            name, operator, want = found.groups()
            got = response.header(name)
            if got is None:
                raise CaseError(f"header field {name} is missing")
            expect.match_text(got, {":": "="}.get(operator, operator.strip()), want, name)
        else:
            raise CaseError(f"a response has no {text}")

    @staticmethod
    def pick(response, source):
        kind, _, path = source.partition(" ")
        if kind == "header":
            return response.header(path)
        if kind == "body":
            return response.decoded().decode("utf-8", "replace")
        value = json.loads(response.decoded())
        value = expect.look_up(value, path) if path else value
        return value if isinstance(value, str) else json.dumps(value)

    @staticmethod
    def check_signature(pack, key):
        """Signs the pack again from the response alone, as a client would."""
        members = ("generated_at", "hot_facts", "resources", "summary", "ttl_seconds")
        data = expect.canonical({name: pack[name] for name in members}).encode()
        want = hmac.new(key.encode(), data, hashlib.sha256).hexdigest()
        if pack["signature"] != want:
            raise CaseError(f"signature is {pack['signature']}, want {want}")
