#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Verifies a ledger, as FORMATS.md has it: verify_ledger.py DIR [--receipt FILE] [--key FILE]
Needs python3-cryptography. Exit status: 0 whole, 65 damaged, 64 wrong usage."""
import hashlib, io, json, os, re, sys, zlib  # noqa: E401

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HASH, TIME = "([0-9a-f]{64})", r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)"
NUMBER, KEY_ID, SIGNATURE = "(0|[1-9][0-9]*)", "([0-9a-f]{16})", "([0-9a-f]{128})"
SIGNED = f'"size":{NUMBER},"head":"{HASH}","time":"{TIME}","key_id":"{KEY_ID}","signature":"{SIGNATURE}"'
CHECKPOINT = re.compile(r"\{%s\}" % SIGNED)
HEADER = re.compile(r'\{"segment":%s,"checkpoint":(\{%s\})\}\n' % (NUMBER, SIGNED))
STUB = re.compile(r'\{"first_segment":%s,%s\}\n' % (NUMBER, SIGNED))
KEY = re.compile(r'\{"key_id":"%s","algorithm":"ed25519","public_key":"%s","created_at":"%s","signed_by":"%s",'
                 r'"signature":"%s"\}\n' % (KEY_ID, HASH, TIME, KEY_ID, SIGNATURE))
LINE = re.compile((r'\{"sequence":%s,"previous_hash":"%s","hash":"%s","entry":(\{.*\})\}' % (NUMBER, HASH, HASH)
                   + "\n").encode(), re.DOTALL)
MEMBER = bytes.fromhex("1f8b08040000000000032c0043582800")


def need(claim, what):
    if not claim:
        raise ValueError(what)


class Ledger:
    def __init__(self, folder):
        self.folder, self.keys = folder, {}  # key_id → public key, oldest first
        self.size, self.head, self.broken, self.breaks = 0, "0" * 64, False, []
        self.notes, self.wanted, self.heads = set(), set(), {}
        for line in io.StringIO(self.read("keys.jsonl").decode("ascii"), newline="\n"):
            m = KEY.fullmatch(line)
            key_id = hashlib.sha256(b"cortex-ed25519-key-id:" + bytes.fromhex(m[2])).hexdigest()[:16]
            signer = (list(self.keys) or [key_id])[-1]
            need((m[1], m[4]) == (key_id, signer) and key_id not in self.keys, "keys.jsonl: a wrong key_id")
            self.keys[key_id] = m[2]
            self.check("key", m.groups()[:4], m[4], m[5])

    def read(self, name):
        return open(os.path.join(self.folder, name), "rb").read()

    def check(self, what, lines, key_id, signature):
        message = "".join(line + "\n" for line in [f"cortex-ledger-{what}-v1", *lines])
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.keys[key_id]))
        key.verify(bytes.fromhex(signature), message.encode())

    def checkpoint(self, text):
        m = CHECKPOINT.fullmatch(text)
        self.check("checkpoint", m.groups()[:4], m[4], m[5])
        return int(m[1]), m[2], m[4]

    def lines(self, number):
        path = os.path.join(self.folder, f"segment-{number:08}.jsonl")
        if os.path.exists(path):
            yield from open(path, "rb")
        elif os.path.exists(path + ".gz"):
            file, good = open(path + ".gz", "rb"), True
            while good and (head := file.read(56)):
                rest = file.read(max(0, int.from_bytes(head[16:20], "little") - 56))
                plain = zlib.decompress(head + rest, 31) if head[24:] == hashlib.sha256(rest).digest() else b""
                sizes = (56 + len(rest)).to_bytes(4, "little") + len(plain).to_bytes(4, "little")
                good = plain != b"" and head[:24] == MEMBER + sizes
                self.broken = self.broken or not good
                yield from io.BytesIO(plain if good else b"")

    def go_on(self, last, after, size, head):
        # A good place: `last` entries with the hash `after` come before it, then it has `size` and `head`.
        if self.broken or (last, after) != (self.size, self.head):
            self.breaks.append((self.size + 1, last, self.head, after))
        self.size, self.head, self.broken = size, head, False
        if size in self.wanted:
            self.heads[size] = head

    def take_header(self, line, number):
        m = HEADER.fullmatch(line.decode("utf-8", "replace"))
        if not m or int(m[1]) != number:
            self.broken = True
            return
        size, head, _ = self.checkpoint(m[2])
        if number == 1 and size == self.size == 0 and not self.broken:
            self.head = head  # where the chain begins
        need(self.size <= size <= self.newest, f"segment {number} begins elsewhere")
        self.go_on(size, head, size, head)

    def take_line(self, line):
        m = LINE.fullmatch(line)
        n, previous, own, entry = int(m[1]) if m else 0, *(m.groups()[1:] if m else (b"", b"", b""))
        parts = n.to_bytes(8, "big") + bytes.fromhex(previous.decode()) + len(entry).to_bytes(8, "big") + entry
        if n <= self.size or hashlib.sha256(b"cortex-ledger-entry-v1\n" + parts).hexdigest() != own.decode():
            self.broken = True
            return
        self.go_on(n - 1, previous.decode(), n, own.decode())
        ranges = json.loads(entry)["content"]["ranges"] if b'"kind":"damage"' in entry[:80] else []
        self.notes |= {(r["first"], r["last"], r["before"], r["after"]) for r in ranges}

    def walk(self, receipt):
        text, names, first = self.read("checkpoint").decode("ascii"), os.listdir(self.folder), 1
        need(len(text) == 8192 and text[4095::4096] == "\n\n", "checkpoint does not have two slots")
        slots = [self.checkpoint(text[at : at + 4095].rstrip(" ")) for at in (0, 4096)]
        newest, claims = max(slots, key=lambda c: c[0]), [c[:2] for c in slots]
        if receipt:
            size, head, _ = self.checkpoint(json.dumps(receipt["checkpoint"], separators=(",", ":")))
            need(size >= receipt["sequence"], "the receipt's checkpoint does not cover its entry")
            claims += [(size, head), (receipt["sequence"], receipt["hash"])]
        self.wanted = {size for size, _ in claims}
        if "stub.json" in names:
            m = STUB.fullmatch(self.read("stub.json").decode("ascii"))
            self.check("stub", m.groups()[:5], m[5], m[6])
            first, self.size, self.head, self.heads = int(m[1]), int(m[2]), m[3], {int(m[2]): m[3]}
        found = (re.fullmatch(r"segment-([0-9]{8,})\.jsonl(\.gz)?", name) for name in names)
        begin, self.newest, last = self.size, newest[0], max((int(m[1]) for m in found if m), default=0)
        for number in range(first, last + 1):
            at = -1
            for at, line in enumerate(self.lines(number)):
                if at == 0:
                    self.take_header(line, number)
                elif line[-1:] == b"\n" or number != last or self.size < newest[0] or self.broken:
                    self.take_line(line)  # else it is unfinished, and was never acknowledged
            self.broken = self.broken or at < 0
        end = newest[:2] if self.size < newest[0] else (self.size, self.head)
        self.go_on(*end, self.size, self.head)
        for b in self.breaks:
            need(b in self.notes, f"entry {b[0]} is not there or not what was written")
        for at, (size, head) in enumerate(claims):
            lost = at < 2 and any(b[0] <= size <= b[1] for b in self.breaks)
            need(size < begin or lost or self.heads.get(size) == head, f"entry {size} is not the one that was signed")
        return newest


def main(arguments):
    given = dict(zip(arguments[1::2], arguments[2::2]))
    if len(arguments) % 2 == 0 or set(given) - {"--receipt", "--key"}:
        sys.exit(64)
    receipt = json.load(open(given["--receipt"], "rb")) if "--receipt" in given else None
    pins = re.findall(r"\b[0-9a-f]{64}\b", open(given["--key"]).read()) if "--key" in given else None
    try:
        ledger = Ledger(arguments[0])
        size, head, key_id = ledger.walk(receipt)
        trusted = list(ledger.keys.values())[: list(ledger.keys).index(key_id) + 1]
        need(pins is None or set(pins) & set(trusted), "signed by another key")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zlib.error, InvalidSignature) as fault:
        sys.exit(print("damaged:", repr(fault)) or 65)
    print(f"whole: {size} entries, head {head}")


if __name__ == "__main__":
    main(sys.argv[1:])
