# SPDX-License-Identifier: MIT
"""The contract that the daemon publishes (docs/openapi.yaml), and whether what it says and takes holds to
it. The JSON Schema in it is the small part that schema.py knows: any other keyword is a fault of its own."""

import json
import re
import urllib.parse

from .schema import Schemas
from .story import CaseError, parse_lines

# What an endpoint says of itself must stand under its own number; `default` is for what any request may get.
OWN_STATUSES = (404, 409, 415, 422, 501, 502, 504, 507)


def fetch_contract(world):
    """Starts the world's daemon and asks it."""
    world.run(parse_lines([(1, "start"), (2, "> GET /openapi.json")]))
    response = world.connections[""].receive()
    if response.status != 200:
        raise CaseError(f"/openapi.json answers {response.status}")
    world.finish()
    return Contract(json.loads(response.decoded()))


def media_type(value):
    return (value or "").partition(";")[0].strip().lower()


class Contract:
    def __init__(self, document):
        self.schemas = Schemas(document)
        self.document = document
        self.paths = []  # (regex of the path, its template, its item), literal ones first
        for template, item in document["paths"].items():
            pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template))
            self.paths.append((re.compile(pattern), template, item))
        self.paths.sort(key=lambda path: path[1].count("{"))
        self.schemas.check_all()
        self.served = set()  # (METHOD, template) of what has been answered well

    def unserved(self):
        """The operations that no case has seen succeed."""
        for _, template, item in sorted(self.paths, key=lambda path: path[1]):
            for method in ("get", "put", "post", "delete"):
                if method in item and (method.upper(), template) not in self.served:
                    yield f"{method.upper()} {template}"

    def find(self, method, target):
        """(template, operation, parameters) of a request; None where it is no route of ours."""
        path = target.partition("?")[0]
        for pattern, template, item in self.paths:
            if pattern.fullmatch(path):
                operation = item.get({"HEAD": "get"}.get(method, method.lower()))
                if operation is None:
                    return None
                listed = [*item.get("parameters", []), *operation.get("parameters", [])]
                return template, operation, [self.schemas.resolve(one) for one in listed]
        return None

    def check(self, asked, response, whole=True):
        """What came back to a request; asked is None where the case sent bytes of its own making, whole
        is False where the body has not been read."""
        found = asked and asked.method != "OPTIONS" and self.find(asked.method, asked.target)
        kind = media_type(response.header("Content-Type"))
        if not found:
            if whole and response.body and kind == "application/problem+json":
                self.check_body(self.named("Problem"), kind, response.decoded(), "the problem")
            return
        template, operation, parameters = found
        where = f"{asked.method} {template} → {response.status}"
        answer = self.answer(operation, response.status, where)
        content = answer.get("content", {})
        for name, header in answer.get("headers", {}).items():
            if self.schemas.resolve(header).get("required") and response.header(name) is None:
                raise CaseError(f"contract: {where} lacks {name}")
        if response.status in (204, 304):
            if content:
                raise CaseError(f"contract: {where} has no content")
        elif kind not in content:
            raise CaseError(f"contract: {where} has {', '.join(content) or 'no content'}, not {kind}")
        elif whole and asked.method != "HEAD":
            self.check_body(content[kind]["schema"], kind, response.decoded(), where)
        if response.status < 300:
            self.served.add((asked.method, template))
            self.check_request(operation, parameters, asked, where)

    def answer(self, operation, status, where):
        answers = operation["responses"]
        found = answers.get(str(status))
        if found is None and status >= 400:
            found = answers.get("default")
            problems = self.document["components"]["responses"]["Problem"]
            if found and status in OWN_STATUSES and self.schemas.resolve(found) == problems:
                found = None
        if found is None:
            raise CaseError(f"contract: {where} is not in it")
        return self.schemas.resolve(found)

    @staticmethod
    def named(name):
        return {"$ref": f"#/components/schemas/{name}"}

    def check_event(self, text):
        self.check_body(self.named("Event"), "application/json", text.encode(), "an event")

    def check_body(self, schema, kind, data, where):
        if kind == "application/x-ndjson":
            values = [json.loads(line) for line in data.splitlines() if line.strip()]
        elif kind.endswith("json"):
            values = [json.loads(data)]
        else:
            values = [data.decode()]
        for value in values:
            self.demand(self.schemas.faults(schema, value, closed=True), where)

    @staticmethod
    def demand(faults, where):
        if faults:
            raise CaseError(f"contract: {where}: " + "; ".join(faults[:5]))

    def check_request(self, operation, parameters, asked, where):
        """A request that was served must be one that the contract allows."""
        query = urllib.parse.parse_qs(asked.target.partition("?")[2], keep_blank_values=True)
        for parameter in parameters:
            if parameter["in"] != "query":
                continue
            values = query.get(parameter["name"])
            if values is None:
                if parameter.get("required"):
                    raise CaseError(f"contract: {where}: went well without {parameter['name']}")
                continue
            value = self.schemas.read_text(parameter["schema"], values[0])
            faults = self.schemas.faults(parameter["schema"], value, closed=False)
            self.demand(faults, f"{where}, sent {parameter['name']}")
        if "requestBody" not in operation:
            return
        content = self.schemas.resolve(operation["requestBody"])["content"]
        kind = media_type(asked.content_type)
        if kind.endswith("+json"):
            kind = "application/json"
        if kind not in content:
            raise CaseError(f"contract: {where}: took a body of {kind or 'no type'}")
        if kind == "application/json":
            value = json.loads(asked.body)
            faults = self.schemas.faults(content[kind]["schema"], value, closed=False)
            self.demand(faults, f"{where}, sent")
