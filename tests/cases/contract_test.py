#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What runner/contract.py and runner/schema.py must find, and what they must let pass."""

import sys
import unittest

sys.dont_write_bytecode = True
from runner.contract import Contract  # noqa: E402
from runner.schema import Schemas  # noqa: E402
from runner.story import CaseError  # noqa: E402
from runner.wire import Asked, Response  # noqa: E402

THING = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "at": {"type": ["string", "null"], "format": "date-time"},
        "tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "pattern": "^[a-z]+$"}},
        "free": {"type": "object"},
    },
}
NAMED = {"type": "object", "required": ["name"], "properties": {"name": {"const": "x"}}}
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
DOCUMENT = {
    "paths": {
        "/things/{id}": {
            "get": {
                "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 9}}],
                "responses": {
                    "200": {
                        "description": "It",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}},
                    },
                    "304": {"description": "The same"},
                    "default": {"$ref": "#/components/responses/Problem"},
                },
            },
            "put": {
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}
                },
                "responses": {"204": {"description": "Done"}},
            },
            "delete": {
                "responses": {"204": {"description": "Done", "headers": {"ETag": {"required": True}}}}
            },
        },
        "/things/lines": {
            "get": {
                "responses": {
                    "200": {
                        "description": "All",
                        "content": {
                            "application/x-ndjson": {
                                "schema": {
                                    "oneOf": [{"$ref": "#/components/schemas/Thing"}, NAMED]
                                }
                            }
                        },
                    }
                }
            }
        },
    },
    "components": {
        "responses": {"Problem": {"description": "An error", "content": PROBLEM}},
        "schemas": {
            "Thing": THING,
            "Problem": {"type": "object", "required": ["status"], "properties": {"status": {"type": "integer"}}},
        },
    },
}


def response(status, body=b"", kind="application/json"):
    return Response(status, "", [("Content-Type", kind)] if kind else [], body)


class ContractTest(unittest.TestCase):
    def setUp(self):
        self.contract = Contract(DOCUMENT)

    def good(self, method, target, answer, **more):
        self.contract.check(Asked(method, target, **more), answer)

    def bad(self, pattern, method, target, answer, **more):
        with self.assertRaisesRegex(CaseError, pattern):
            self.good(method, target, answer, **more)

    def test_bodies(self):
        self.good("GET", "/things/1", response(200, b'{"id": 1, "free": {"any": 1}, "at": null}'))
        self.good("HEAD", "/things/1", response(200))
        self.bad("has no id", "GET", "/things/1", response(200, b"{}"))
        self.bad("id is '1'", "GET", "/things/1", response(200, b'{"id": "1"}'))
        self.bad("id is True", "GET", "/things/1", response(200, b'{"id": true}'))
        self.bad("id: 0", "GET", "/things/1", response(200, b'{"id": 0}'))
        self.bad("more, which is not", "GET", "/things/1", response(200, b'{"id": 1, "more": 2}'))
        self.bad("no time of ours", "GET", "/things/1", response(200, b'{"id": 1, "at": "today"}'))
        self.bad(r"tags\[1\] is 'B'", "GET", "/things/1", response(200, b'{"id": 1, "tags": ["a", "B"]}'))
        self.bad("3 items", "GET", "/things/1", response(200, b'{"id": 1, "tags": ["a", "b", "c"]}'))

    def test_statuses_and_types(self):
        self.good("GET", "/things/1", response(304, kind=None))
        self.bad("is not in it", "GET", "/things/1", response(202, b'{"id": 1}'))
        self.bad("not text/plain", "GET", "/things/1", response(200, b"1", "text/plain"))
        problem = response(500, b'{"status": 500}', "application/problem+json")
        self.good("GET", "/things/1", problem)
        # What an endpoint says of itself must stand there under its own number.
        problem.status = 409
        self.bad("409 is not in it", "GET", "/things/1", problem)
        problem.body = b"{}"
        self.bad("has no status", "GET", "/nowhere", problem)

    def test_headers(self):
        asked = Asked("DELETE", "/things/1")
        with self.assertRaisesRegex(CaseError, "lacks ETag"):
            self.contract.check(asked, response(204, kind=None))
        answer = response(204, kind=None)
        answer.headers.append(("etag", "x"))
        self.contract.check(asked, answer)

    def test_coverage(self):
        self.good("GET", "/things/1", response(200, b'{"id": 1}'))
        self.assertEqual(
            list(self.contract.unserved()),
            ["GET /things/lines", "PUT /things/{id}", "DELETE /things/{id}"],
        )

    def test_requests(self):
        self.good("GET", "/things/1?limit=9&other=x", response(200, b'{"id": 1}'))
        self.bad("10, at most 9", "GET", "/things/1?limit=10", response(200, b'{"id": 1}'))
        self.bad("sent limit: it is 'x'", "GET", "/things/1?limit=x", response(200, b'{"id": 1}'))
        done = response(204, kind=None)
        self.good("PUT", "/things/1", done, content_type="application/json", body=b'{"id": 5, "x": 1}')
        self.bad("has no id", "PUT", "/things/1", done, content_type="application/json", body=b"{}")
        self.bad("took a body of text/plain", "PUT", "/things/1", done, content_type="text/plain")

    def test_lines(self):
        kind = "application/x-ndjson"
        self.good("GET", "/things/lines", response(200, b'{"id": 1}\n{"name": "x"}\n', kind))
        self.bad("none of its kinds", "GET", "/things/lines", response(200, b'{"id": 1}\n{}\n', kind))
        self.bad("of 2 kinds", "GET", "/things/lines", response(200, b'{"id": 1, "name": "x"}\n', kind))

    def test_unknown_keywords(self):
        wrong = {"components": {"schemas": {"A": {"type": "object", "if": {}}}}}
        with self.assertRaisesRegex(ValueError, "no keyword we know: if"):
            Schemas(wrong).check_all()
        wrong = {"a": [{"schema": {"items": {"type": "string", "format": "email"}}}]}
        with self.assertRaisesRegex(ValueError, "no format we know: email"):
            Schemas(wrong).check_all()


if __name__ == "__main__":
    unittest.main()
