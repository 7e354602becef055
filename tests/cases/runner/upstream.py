# SPDX-License-Identifier: MIT
"""A scripted embedding service in OpenAI's shape: each line of its script says how one request is
answered. It waits for events (texts that arrive, a release, the end of the case), never for a time,
except where dripping bytes slowly is the very thing a line asks for."""

import base64
import hashlib
import json
import math
import re
import socket
import struct
import threading

from .story import CaseError, read_bytes

WORDS = {
    "ok",
    "barrier",
    "hold",
    "status",
    "drip",
    "silent",
    "close",
    "garbage",
    "wrong",
    "flood",
    "redirect",
    "refuse",
    "strict",
}


def embed(text, dimension):
    """A vector of length 1 in which texts that share words lie close together."""
    vector = [0.0] * dimension
    for word in re.findall(r"\w+", text.lower()) or [text]:
        digest = hashlib.sha256(word.encode()).digest()
        vector[digest[0] % dimension] += 1.0
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


class Line:
    """`[N times] WORD …`: the last line of a script serves all that follow, too."""

    def __init__(self, number, text):
        found = re.match(r"(?:(\d+) times )?(\w+)\s*(.*)", text, re.S)
        if not found or found.group(2) not in WORDS:
            raise CaseError(f"line {number}: the upstream knows no {text!r}")
        self.left = int(found.group(1) or 1)
        self.word = found.group(2)
        self.rest = found.group(3)
        self.arrived = 0  # texts at a barrier


class Upstream:
    def __init__(self, transcript, patience):
        self.transcript = transcript
        self.patience = patience
        self.changed = threading.Condition()
        self.script = [Line(0, "ok")]
        self.requests = []  # (head, body, texts)
        self.released = set()
        self.closing = False
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    # -- what a case asks for ------------------------------------------------

    def set_script(self, lines):
        with self.changed:
            self.script = [Line(number, text) for number, text in lines if text.strip()]
            self.changed.notify_all()

    def release(self, name):
        with self.changed:
            self.released.add(name)
            self.changed.notify_all()

    def wait_for(self, what, count):
        def reached():
            return (
                len(self.requests)
                if what == "requests"
                else sum(len(texts) for _, _, texts in self.requests)
            ) >= count

        with self.changed:
            if not self.changed.wait_for(reached, self.patience):
                raise CaseError(
                    f"upstream: {len(self.requests)} requests came, want {count} {what}"
                )

    def count(self, what):
        with self.changed:
            if what == "requests":
                return len(self.requests)
            return sum(len(texts) for _, _, texts in self.requests)

    def seen(self):
        with self.changed:
            return "\n".join(
                head.decode("latin-1") + "\n" + body.decode("utf-8", "replace")
                for head, body, _ in self.requests
            )

    def close(self):
        with self.changed:
            self.closing = True
            self.changed.notify_all()
        self.listener.close()

    # -- serving -------------------------------------------------------------

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        try:
            with peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                stream = peer.makefile("rb")
                while (request := read_request(stream)) and self.answer(peer, *request):
                    pass
        except OSError:
            pass

    def next_line(self, texts):
        """The line for a request that has just come. Called with the lock."""
        line = self.script[0]
        if line.word == "barrier":
            line.arrived += texts
            done = line.arrived >= int(line.rest)
        else:
            line.left -= 1
            done = line.left <= 0
        if done and len(self.script) > 1:
            self.script.pop(0)
        return line

    def answer(self, peer, head, body):
        """Answers one request; False when the connection has been used up."""
        try:
            asked = json.loads(body) if body else {}
        except ValueError:
            asked = {}
        given = asked.get("input", [])
        texts = [given] if isinstance(given, str) else given
        self.transcript.note(
            f"upstream: {head.split(chr(13).encode())[0].decode('latin-1')} "
            f"with {len(texts)} texts"
        )
        with self.changed:
            self.requests.append((head, body, texts))
            line = self.next_line(len(texts))
            self.changed.notify_all()
            if line.word == "barrier":
                self.changed.wait_for(lambda: line.arrived >= int(line.rest) or self.closing)
            elif line.word == "hold":
                self.changed.wait_for(lambda: line.rest in self.released or self.closing)
            elif line.word == "silent":
                self.changed.wait_for(lambda: self.closing)
            if self.closing:
                return False
        return getattr(self, "do_" + line.word)(peer, asked, texts, line.rest)

    def do_ok(self, peer, asked, texts, rest, mangle=lambda data: data):
        dimension = int(
            asked.get("dimensions") or (re.search(r"dimension (\d+)", rest) or [0, 16])[1]
        )
        data = []
        for index, text in enumerate(texts):
            vector = embed(text, dimension)
            if asked.get("encoding_format") == "base64" and "as float" not in rest:
                vector = base64.b64encode(struct.pack(f"<{dimension}f", *vector)).decode()
            data.append({"object": "embedding", "index": index, "embedding": vector})
        return send_json(
            peer,
            200,
            {
                "object": "list",
                "data": mangle(data),
                "model": asked.get("model", "unknown"),
                "usage": {"prompt_tokens": 1, "total_tokens": 1},
            },
        )

    def do_barrier(self, peer, asked, texts, rest):
        return self.do_ok(peer, asked, texts, "")

    def do_hold(self, peer, asked, texts, rest):
        return self.do_ok(peer, asked, texts, "")

    def do_silent(self, peer, asked, texts, rest):
        return False

    def do_wrong(self, peer, asked, texts, rest):
        def one_less(data):
            return data[:-1]

        def shorter(data):
            size = 8
            for at, item in enumerate(data):
                item["embedding"] = embed(texts[at], size)
            return data

        def not_finite(data):
            for item in data:
                item["embedding"] = base64.b64encode(struct.pack("<16f", *[math.nan] * 16)).decode()
            return data

        def same_index(data):
            for item in data:
                item["index"] = 0
            return data

        kinds = {
            "count": one_less,
            "dimension": shorter,
            "numbers": not_finite,
            "index": same_index,
            "order": lambda data: list(reversed(data)),
        }
        return self.do_ok(peer, asked, texts, "", kinds[rest])

    def do_status(self, peer, asked, texts, rest):
        """status 429 [Name: value, …] ["body"]"""
        found = re.match(r"(\d+)\s*([^\"']*)(.*)", rest, re.S)
        body = read_bytes(found.group(3)) or b'{"error": {"message": "scripted"}}'
        headers = [part.strip() for part in found.group(2).split(",") if part.strip()]
        return send_raw(peer, int(found.group(1)), headers, body)

    def do_refuse(self, peer, asked, texts, rest):
        """refuse WORD: 400 for a request with a text that holds it"""
        if any(rest in text for text in texts):
            return send_raw(peer, 400, [], b'{"error": {"message": "scripted refusal"}}')
        return self.do_ok(peer, asked, texts, "")

    def do_strict(self, peer, asked, texts, rest):
        """strict NAME …: 400 for a request that has a member of such a name"""
        if any(name in asked for name in rest.split()):
            return send_raw(peer, 400, [], b'{"error": {"message": "what is that?"}}')
        return self.do_ok(peer, asked, texts, "as float")

    def do_redirect(self, peer, asked, texts, rest):
        return send_raw(peer, 307, [f"Location: {rest}"], b"")

    def do_garbage(self, peer, asked, texts, rest):
        peer.sendall(read_bytes(rest))
        return False

    def do_close(self, peer, asked, texts, rest):
        if rest:
            peer.sendall(read_bytes(rest.removeprefix("after ")))
        return False

    def do_flood(self, peer, asked, texts, rest):
        """A body of N MiB, more than anyone should take in."""
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        piece = b" " * (1 << 20)
        for _ in range(int(rest)):
            peer.sendall(piece)
        return False

    def do_drip(self, peer, asked, texts, rest):
        """A head at once, then a byte every 20 ms until the other side has had enough."""
        peer.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" b"Content-Length: 4000\r\n\r\n"
        )
        peer.settimeout(0.02)
        while not self.closing:
            try:
                if not peer.recv(1):
                    return False
            except TimeoutError:
                pass
            peer.send(b" ")
        return False


def read_request(stream):
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline(1 << 16)
        if not line:
            return None
        head += line
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
    if length:
        return bytes(head), stream.read(int(length.group(1)))
    body = bytearray()
    if re.search(rb"\r\ntransfer-encoding: *chunked", head, re.I):
        while size := int(stream.readline().split(b";")[0], 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
    return bytes(head), bytes(body)


def send_raw(peer, status, headers, body):
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {len(body)}", *headers]
    if body and not any(line.lower().startswith("content-type:") for line in headers):
        lines.append("Content-Type: application/json")
    peer.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
    return True


def send_json(peer, status, value):
    return send_raw(peer, status, [], json.dumps(value).encode())
