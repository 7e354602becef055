# SPDX-License-Identifier: MIT
"""Steps of clients: requests well formed or raw, connections opened and closed, responses read."""

import base64
import json
import re
import struct
import time

from .story import CaseError, expand_names, read_bytes
from .upstream import embed
from .wire import Asked, Connection, Response

OPEN_PATHS = ("/healthz", "/ready", "/metrics", "/openapi.json", "/docs")


class ClientSteps:
    def connection(self, name, fresh=False):
        known = self.connections.get(name)
        if known is None or fresh or not known.usable:
            if known is not None:
                known.socket.close()
            known = Connection(name, self.port, self.transcript, self.patience)
            self.connections[name] = known
        return known

    def send_raw(self, name, rest, step):
        """NAME>> BYTES; items: more BYTES, `split every N`, `split at N N …`"""
        data = read_bytes(rest)
        cuts = []
        for item in step.items():
            text = self.fill(item.text)
            if found := re.fullmatch(r"split every (\d+)", text):
                cuts = "every", int(found.group(1))
            elif text.startswith("split at "):
                cuts = [int(n) for n in text[9:].split()]
            else:
                data += read_bytes(text)
        if cuts and cuts[0] == "every":
            cuts = range(cuts[1], len(data), cuts[1])
        connection = self.connections.get(name)
        if connection is None or connection.ended:
            connection = self.connection(name, fresh=True)
        connection.send(data, cuts)

    def request(self, rest, items):
        """A request written as METHOD TARGET [BODY] and its items, and its bytes."""
        method, _, rest = rest.partition(" ")
        target, _, inline = rest.partition(" ")
        path = target.partition("?")[0]
        body = inline.strip().encode() or None
        lines = []
        headers = {"Host": f"127.0.0.1:{self.port}"}
        if path not in OPEN_PATHS:
            headers["Authorization"] = None
        extra = []
        for item in items:
            text = self.fill(item)
            if text.startswith("|"):
                lines.append(text[2:])
            elif text.startswith("compute "):
                body = self.compute(text[8:])
            elif text == "as nobody":
                headers.pop("Authorization", None)
            elif text.startswith("as "):
                headers["Authorization"] = f"Bearer {self.token(text[3:])}"
            elif text.startswith("no "):
                headers.pop(text[3:], None)
                extra.append((text[3:].lower(), None))
            else:
                key, colon, value = text.partition(":")
                if not colon:
                    raise CaseError(f"a request has no {text}")
                headers.pop(key, None)
                extra.append((key.lower(), f"{key}: {value.strip()}"))
        if "Authorization" in headers and headers["Authorization"] is None:
            headers["Authorization"] = f"Bearer {self.token()}"
        if lines:
            body = "\n".join(lines).encode()
        named = dict(extra)
        kind = None
        if body is not None:
            if "content-type" not in named:
                kind = headers["Content-Type"] = "application/json"
            elif named["content-type"] is not None:
                kind = named["content-type"].partition(":")[2]
            if "content-length" not in named and "transfer-encoding" not in named:
                headers["Content-Length"] = str(len(body))
        head = [
            f"{method} {target} HTTP/1.1",
            *(f"{k}: {v}" for k, v in headers.items()),
            *(line for _, line in extra if line is not None),
        ]
        data = "\r\n".join(head).encode() + b"\r\n\r\n" + (body or b"")
        return Asked(method, target, kind, body or b""), data

    def compute(self, text):
        names = {
            "json": json,
            "base64": base64,
            "struct": struct,
            "vector": embed,
            "range": range,
            "str": str,
            "len": len,
            "float": float,
            "vars": self.vars,
            "floats": lambda row: base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode(),
        }
        value = eval(text, {"__builtins__": {}, **names})  # pylint: disable=eval-used
        if isinstance(value, bytes):
            return value
        return value.encode() if isinstance(value, str) else json.dumps(value).encode()

    def send_request(self, name, rest, step):
        asked, data = self.request(rest, [item.text for item in self.with_blocks(step)])
        connection = self.connection(name)
        connection.asked.append(asked)
        connection.send(data)

    @staticmethod
    def with_blocks(step):
        """The items of a step, each with the lines indented below it joined on."""
        items = step.items()
        for item in items:
            if item.block:
                item.text += "\n" + "\n".join(text for _, text in item.block)
        return items

    def receive(self, name, rest, step):
        """NAME< STATUS [to METHOD] | NAME< continue | NAME< closed | NAME< sees REGEX"""
        connection = self.connections.get(name)
        if connection is None:
            raise CaseError(f"nothing was sent on {name or 'the connection'} yet")
        if rest == "closed":
            connection.expect_closed()
            return
        if rest.startswith("sees "):
            connection.wait_for(rest[5:])
            return
        if rest == "continue":
            connection.receive_continue()
            return
        kind, _, value = rest.partition(" ")
        if kind == "stream":
            self.receive_stream(connection, value, step)
            return
        if kind == "event":
            self.receive_event(connection, value, step)
            return
        status, _, method = rest.partition(" to ")
        response = connection.receive(method or None)
        self.check_every(response)
        self.check_status(response, status)
        self.check_items(response, [item.text for item in self.with_blocks(step)])

    def receive_stream(self, connection, rest, step):
        """NAME< stream STATUS: a head alone; NAME< stream end: the body's end"""
        if rest == "end":
            if (frame := connection.receive_frame()) is not None:
                raise CaseError(f"one more frame: {frame!r}")
            return
        response = connection.receive_head()
        self.check_every(response, whole=False)
        self.check_status(response, rest)
        self.check_items(response, [item.text for item in self.with_blocks(step)])

    def receive_event(self, connection, rest, step):
        """NAME< event JSON: the next one holds at least this; items: `id ~ REGEX`, `retry N`,
        `save NAME = id`. Frames without data are passed over, their `retry` counts."""
        fields = {}
        while "data" not in fields:
            frame = connection.receive_frame()
            if frame is None:
                raise CaseError("the stream ended instead of an event")
            for line in frame.split("\n"):
                key, _, value = line.partition(": ")
                if key in fields and key != "":
                    raise CaseError(f"{key} stands twice in {frame!r}")
                fields[key] = value
        unknown = set(fields) - {"", "id", "data", "retry"}
        if unknown:
            raise CaseError(f"no field of ours: {unknown}")
        event = json.loads(fields["data"])
        if self.contract:
            self.contract.check_event(fields["data"])
        response = Response(200, "", [], fields["data"].encode())
        self.check_item(response, "json " + self.fill(rest))
        keys = ["event_type", "payload", "timestamp", "resource_ids", "correlation_id"]
        if list(event) != keys:
            raise CaseError(f"an event has {keys}, not {list(event)}")
        for item in step.items():
            text = self.fill(item.text)
            if text.startswith("id ~ "):
                if not re.search(text[5:], fields.get("id", "")):
                    raise CaseError(f"id is {fields.get('id')}")
            elif text.startswith("retry "):
                if fields.get("retry") != text[6:]:
                    raise CaseError(f"retry is {fields.get('retry')}")
            elif found := re.fullmatch(r"save (\S+) = id", text):
                self.vars[found.group(1)] = fields["id"]
            else:
                raise CaseError(f"an event has no {text}")

    def step_refuses(self, rest, step):
        """refuses STATUS [REASON]: each item is sent on a connection of its own, which gets this
        one answer and is closed after it, so that nothing else can be smuggled past."""
        status, _, reason = rest.partition(" ")
        for item in self.with_blocks(step):
            connection = self.connection("refused", fresh=True)
            connection.send(read_bytes(self.fill(item.text)))
            try:
                response = connection.receive()
                self.check_every(response)
                self.check_status(response, status)
                if reason:
                    self.check_item(response, "problem " + reason)
                connection.expect_closed()
            except CaseError as error:
                raise CaseError(f"line {item.line}: {item.text[:300]}\n    {error}") from None

    def step_connect(self, rest, step):
        for name, _ in expand_names(rest):
            self.connection(name, fresh=True)

    def step_close(self, rest, step):
        for name, _ in expand_names(rest):
            self.connections[name].close()

    def step_reset(self, rest, step):
        for name, _ in expand_names(rest):
            self.connections[name].close(reset=True)

    def step_half_close(self, rest, step):
        for name, _ in expand_names(rest):
            self.connections[name].half_close()

    def step_read_by_daemon(self, rest, step):
        """Until the daemon has taken in everything that was sent on the connection."""
        for name, _ in expand_names(rest):
            self.connections[name].wait_read()

    def step_until(self, rest, step):
        """until REQUEST; items: its headers, `-> STATUS`, expectations. Asks until they hold."""
        texts = [item.text for item in self.with_blocks(step)]
        arrow = next((at for at, text in enumerate(texts) if text.startswith("-> ")), None)
        if arrow is None:
            raise CaseError("until needs an item `-> STATUS`")
        deadline = time.monotonic() + self.patience
        while True:
            asked, data = self.request(rest, texts[:arrow])
            try:
                connection = self.connection("until")
                connection.asked.append(asked)
                connection.send(data)
                response = connection.receive()
                self.check_every(response)
                self.check_status(response, texts[arrow][3:])
                self.check_items(response, texts[arrow + 1 :])
                return
            except CaseError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
