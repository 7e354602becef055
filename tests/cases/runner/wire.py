# SPDX-License-Identifier: MIT
"""Client connections: bytes out as the case wants them, whole responses in, strictly read."""

import gzip
import re
import select
import socket
import struct
import time

from . import queues
from .story import CaseError

READ_BYTES = 1 << 16


class Asked:
    """A well-formed request that was sent and is not answered yet."""

    def __init__(self, method, target, content_type=None, body=b""):
        self.method = method
        self.target = target
        self.content_type = content_type
        self.body = body


class Response:
    def __init__(self, status, reason, headers, body):
        self.asked = None  # what it answers, where that is known
        self.status = status
        self.reason = reason
        self.headers = headers  # [(name as sent, value)]
        self.body = body

    def header(self, name):
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None

    def decoded(self):
        if self.header("Content-Encoding") == "gzip":
            return gzip.decompress(self.body)
        return self.body


class Connection:
    def __init__(self, name, port, transcript, patience, host="127.0.0.1"):
        self.name = name
        self.transcript = transcript
        self.patience = patience
        self.port = port
        self.socket = socket.create_connection((host, port), timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.ended = False  # the daemon closed its side
        self.asked = []  # the well-formed requests that are not answered yet
        self.usable = True  # may carry another request
        self.stream = bytearray()  # of a response that is read frame by frame

    # -- out --------------------------------------------------------------------------------------

    def send(self, data, cuts=()):
        """Sends data; at each cut it waits until the daemon has read what came before."""
        edges = [0, *[cut for cut in cuts if 0 < cut < len(data)], len(data)]
        self.transcript.add(f"{self.name}>", data)
        for start, end in zip(edges, edges[1:]):
            if start:
                self.wait_read()
            if not self.send_piece(data[start:end]):
                self.transcript.note(f"{self.name}: closed by the daemon while being sent to")
                return

    def send_piece(self, piece):
        view = memoryview(piece)
        deadline = time.monotonic() + self.patience
        while view:
            try:
                view = view[self.socket.send(view) :]
            except (BrokenPipeError, ConnectionResetError):
                return False
            except TimeoutError:
                raise CaseError(
                    f"{self.name}: the daemon did not read for {self.patience} s"
                ) from None
            if time.monotonic() > deadline:
                raise CaseError(f"{self.name}: sending took over {self.patience} s")
        return True

    def wait_read(self):
        """Until the daemon's socket holds nothing that it has not read."""
        mine = self.socket.getsockname()[1]
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            if not queues.unread_bytes(mine, self.port):
                return
            time.sleep(0.0005)
        raise CaseError(f"{self.name}: the daemon did not read what was sent to it")

    def half_close(self):
        self.transcript.note(f"{self.name}: half-closed")
        self.socket.shutdown(socket.SHUT_WR)

    def close(self, reset=False):
        self.transcript.note(f"{self.name}: {'reset' if reset else 'closed'} by us")
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        self.usable = False

    # -- in ---------------------------------------------------------------------------------------

    def more(self, deadline):
        """Reads once. False at the end of the stream."""
        if self.ended:
            return False
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.socket], [], [], left)[0]:
            raise CaseError(
                f"{self.name}: nothing came within {self.patience} s; "
                f"before it: {bytes(self.buffer[:200])!r}"
            )
        try:
            data = self.socket.recv(READ_BYTES)
        except ConnectionResetError:
            self.transcript.note(f"{self.name}: reset by the daemon")
            data = b""
        if not data:
            self.ended = True
            self.usable = False
            return False
        self.buffer += data
        return True

    def wait_for(self, pattern):
        """Until it is in what has come and was not read as a response."""
        deadline = time.monotonic() + self.patience
        while not re.search(pattern.encode(), bytes(self.buffer)):
            if not self.more(deadline):
                raise CaseError(
                    f"{self.name}: closed before {pattern}; there was {bytes(self.buffer[:400])!r}"
                )

    def read_until(self, mark, deadline):
        while mark not in self.buffer:
            if not self.more(deadline):
                raise CaseError(
                    f"{self.name}: closed instead of a response; "
                    f"there was {bytes(self.buffer[:200])!r}"
                )
        data, _, rest = bytes(self.buffer).partition(mark)
        self.buffer = bytearray(rest)
        return data

    def read_exactly(self, count, deadline):
        while len(self.buffer) < count:
            if not self.more(deadline):
                raise CaseError(f"{self.name}: closed after {len(self.buffer)} of {count} bytes")
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def receive(self, method=None, seconds=None):
        """One whole response to the oldest request without one."""
        deadline = time.monotonic() + (seconds or self.patience)
        asked = self.asked.pop(0) if self.asked else None
        method = asked.method if asked else method
        head = self.read_until(b"\r\n\r\n", deadline)
        response = self.read_response(head, method, deadline)
        while 100 <= response.status < 200:
            self.transcript.add(f"{self.name}<", head + b"\r\n\r\n")
            head = self.read_until(b"\r\n\r\n", deadline)
            response = self.read_response(head, method, deadline)
        self.transcript.add(f"{self.name}<", head + b"\r\n\r\n" + response.decoded())
        response.asked = asked
        if (response.header("Connection") or "").lower() == "close":
            self.usable = False
        return response

    def receive_head(self):
        """The head of a response whose body is read by receive_frame."""
        asked = self.asked.pop(0)
        head = self.read_until(b"\r\n\r\n", time.monotonic() + self.patience)
        self.transcript.add(f"{self.name}<", head + b"\r\n\r\n")
        response = self.read_response(head, "HEAD", 0)
        response.asked = asked
        return response

    def receive_frame(self):
        """The next frame of text/event-stream, without its empty line; None at the end."""
        deadline = time.monotonic() + self.patience
        while b"\n\n" not in self.stream:
            size = int(self.read_until(b"\r\n", deadline).split(b";")[0], 16)
            self.stream += self.read_exactly(size, deadline)
            if self.read_exactly(2, deadline) != b"\r\n":
                raise CaseError(f"{self.name}: a chunk without its end")
            if size == 0:
                if self.stream:
                    raise CaseError(f"{self.name}: half a frame: {bytes(self.stream)!r}")
                return None
        frame, _, rest = bytes(self.stream).partition(b"\n\n")
        self.stream = bytearray(rest)
        self.transcript.add(f"{self.name}<", frame + b"\n\n")
        return frame.decode()

    def receive_continue(self):
        """The interim response of RFC 9110 15.2.1, and nothing of what follows it."""
        head = self.read_until(b"\r\n\r\n", time.monotonic() + self.patience)
        self.transcript.add(f"{self.name}<", head + b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 100 "):
            raise CaseError(f"{self.name}: got {head[:60]!r}, want 100 Continue")

    def read_response(self, head, method, deadline):
        lines = head.decode("latin-1").split("\r\n")
        found = re.fullmatch(r"HTTP/1\.1 (\d{3})(?: (.*))?", lines[0])
        if not found:
            raise CaseError(f"{self.name}: not a status line: {lines[0]!r}")
        headers = []
        for line in lines[1:]:
            if not (field := re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([ -~\t]*)", line)):
                raise CaseError(f"{self.name}: not a header field: {line!r}")
            headers.append((field.group(1), field.group(2).strip()))
        response = Response(int(found.group(1)), found.group(2) or "", headers, b"")
        if method == "HEAD" or response.status in (204, 304) or response.status < 200:
            return response
        length = response.header("Content-Length")
        if (response.header("Transfer-Encoding") or "").lower() == "chunked":
            if length is not None:
                raise CaseError(f"{self.name}: both Content-Length and Transfer-Encoding")
            response.body = self.read_chunks(deadline)
        elif length is not None:
            response.body = self.read_exactly(int(length), deadline)
        else:
            while self.more(deadline):
                pass
            response.body, self.buffer = bytes(self.buffer), bytearray()
        return response

    def read_chunks(self, deadline):
        body = bytearray()
        while True:
            line = self.read_until(b"\r\n", deadline)
            size = int(line.split(b";")[0], 16)
            if size == 0:
                while self.read_until(b"\r\n", deadline):
                    pass
                return bytes(body)
            body += self.read_exactly(size, deadline)
            if self.read_exactly(2, deadline) != b"\r\n":
                raise CaseError(f"{self.name}: a chunk without its end")

    def expect_closed(self):
        deadline = time.monotonic() + self.patience
        while self.more(deadline):
            pass
        if self.buffer:
            raise CaseError(
                f"{self.name}: more came before the close: " f"{bytes(self.buffer[:300])!r}"
            )
        self.transcript.note(f"{self.name}: closed by the daemon")
