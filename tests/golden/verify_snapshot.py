#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Verifies the signature of a snapshot, knowing nothing but docs/verify-snapshot.md.

Shares no code with the service: the canonical form (RFC 8785) is written here once more, for every
kind of value. Without arguments it verifies the golden files under their key, and then that no single
flipped bit and no changed value passes. With KEY_FILE and SNAPSHOT it verifies that snapshot.
Exit: 0 good, 1 not, 64 usage.
"""
import copy
import decimal
import hashlib
import hmac
import json
import pathlib
import sys

SIGNED = ("generated_at", "hot_facts", "resources", "summary", "ttl_seconds")
GOLDEN_KEY = "golden key, not a secret: ä€".encode()
GOLDEN_PUBLIC_KEY = "44db9195830e03ec6b7fe11fb04863190c0c29ee1765fc0442b4dfd0015e13e5"
EXACT_MAX = 2**53 - 1
ESCAPES = {0x22: '\\"', 0x5C: "\\\\", 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}


def number(value):
    """ECMAScript's Number::toString (RFC 8785 3.2.2.3) of a float."""
    if value == 0:
        return "0"
    sign, digits, exponent = decimal.Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    k, n = len(text), len(text) + exponent
    if k <= n <= 21:
        out = text + "0" * (n - k)
    elif 0 < n <= 21:
        out = text[:n] + "." + text[n:]
    elif -6 < n <= 0:
        out = "0." + "0" * -n + text
    else:
        e = f"e{'+' if n > 0 else '-'}{abs(n - 1)}"
        out = text[0] + ("." + text[1:] if k > 1 else "") + e
    return ("-" if sign else "") + out


def string(value):
    out = []
    for char in value:
        code = ord(char)
        if 0xD800 <= code <= 0xDFFF:
            raise ValueError("lone surrogate")
        out.append(ESCAPES.get(code) or (f"\\u{code:04x}" if code < 0x20 else char))
    return '"' + "".join(out) + '"'


def canonical(value):
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return string(value)
    if isinstance(value, int):
        if abs(value) > EXACT_MAX:
            # A reader with doubles alone has lost digits by now: as RFC 8785, take the double.
            return number(float(value))
        return str(value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError("not a number of JSON")
        return number(value)
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
    return "{" + ",".join(f"{string(key)}:{canonical(value[key])}" for key in keys) + "}"


def unique(pairs):
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("duplicate key")
    return out


def verify(key, text):
    """True if text (bytes) is a snapshot that was signed with key (bytes)."""
    try:
        snapshot = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
        if snapshot["signature_algorithm"] != "hmac-sha256":
            return False
        signed = canonical({name: snapshot[name] for name in SIGNED}).encode("utf-8")
        want = hmac.new(key, signed, hashlib.sha256).hexdigest()
        return isinstance(snapshot["signature"], str) and hmac.compare_digest(
            want.encode(), snapshot["signature"].encode("utf-8"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def key_id(key):
    return hashlib.sha256(b"cortex-key-id:" + key).hexdigest()[:16]


def signed_bits(text):
    """Where a flipped bit must be noticed: all but what stands beside the signed members."""
    snapshot = json.loads(text)
    beside = []
    for name in ("token_count", "freshness", "key_id"):
        if name not in snapshot:
            continue
        member = f'"{name}":{json.dumps(snapshot[name], separators=(",", ":"))}'.encode()
        at = text.index(member)
        beside.append(range(at, at + len(member)))
    return [i for i in range(len(text)) if not any(i in part for part in beside)]


def self_check():
    """The examples of RFC 8785, appendix B and 3.2.3, so that this file is not wrong in the same way."""
    import struct
    samples = {
        "0000000000000000": "0", "8000000000000000": "0", "0000000000000001": "5e-324",
        "7fefffffffffffff": "1.7976931348623157e+308", "4340000000000000": "9007199254740992",
        "4430000000000000": "295147905179352830000", "44b52d02c7e14af5": "9.999999999999997e+22",
        "44b52d02c7e14af6": "1e+23", "444b1ae4d6e2ef4f": "999999999999999900000",
        "444b1ae4d6e2ef50": "1e+21", "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
        "3eb0c6f7a0b5ed8d": "0.000001", "41b3de4355555553": "333333333.3333332",
        "becbf647612f3696": "-0.0000033333333333333333",
        "43143ff3c1cb0959": "1424953923781206.2",
    }
    for bits, want in samples.items():
        got = number(struct.unpack(">d", bytes.fromhex(bits))[0])
        assert got == want, (bits, got, want)
    keys = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7}
    assert canonical(keys) == (
        '{"\\r":2,"1":4,"\x80":6,"\xf6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}')


def check_golden(path):
    text = path.read_bytes()
    faults = []
    if not verify(GOLDEN_KEY, text):
        faults.append("the golden snapshot does not verify")
    snapshot = json.loads(text)
    if snapshot["key_id"] != key_id(GOLDEN_KEY):
        faults.append("key_id is not that of the key")
    if verify(GOLDEN_KEY + b"\n", text) or verify(b"", text):
        faults.append("another key passes")
    flips = 0
    for i in signed_bits(text):
        for bit in range(8):
            flipped = text[:i] + bytes([text[i] ^ (1 << bit)]) + text[i + 1:]
            if verify(GOLDEN_KEY, flipped) and not harmless(text, flipped):
                faults.append(f"bit {bit} of byte {i} may be flipped")
            flips += 1
    for name in SIGNED:
        changed = copy.deepcopy(snapshot)
        del changed[name]
        if verify(GOLDEN_KEY, json.dumps(changed).encode()):
            faults.append(f"{name} may be missing")
    changed = copy.deepcopy(snapshot)
    changed["signature"] = changed["signature"][:63]
    if verify(GOLDEN_KEY, json.dumps(changed).encode()):
        faults.append("a cut signature passes")
    changed = copy.deepcopy(snapshot)
    changed["hot_facts"].append("one more")
    if verify(GOLDEN_KEY, json.dumps(changed).encode()):
        faults.append("a fact may be added")
    if len(snapshot["hot_facts"]) > 1:
        changed = copy.deepcopy(snapshot)
        changed["hot_facts"].reverse()
        if verify(GOLDEN_KEY, json.dumps(changed).encode()):
            faults.append("the order of facts may change")
    for freshness in ("cached", "restored", "stale"):
        if not verify(GOLDEN_KEY, json.dumps(dict(snapshot, freshness=freshness)).encode()):
            faults.append(f"not verified as {freshness}")
    # Other white space, key order and spelling of the same values are the same snapshot.
    if not verify(GOLDEN_KEY, json.dumps(snapshot, indent=2, sort_keys=True).encode()):
        faults.append("the same values in other bytes do not verify")
    for fault in faults:
        print(f"{path.name}: {fault}", file=sys.stderr)
    print(f"{path.name}: {flips} flipped bits, {len(faults)} faults")
    return 1 if faults else 0


def harmless(text, flipped):
    """A flip that says the same: another letter case of an escape or an exponent, white space, or a
    member's name that moves a value no one signs."""
    try:
        before, after = json.loads(text), json.loads(flipped)
        return all(canonical(before[name]) == canonical(after[name]) for name in SIGNED)
    except (ValueError, KeyError):
        return False


def main(argv):
    if len(argv) == 1:
        self_check()
        folder = pathlib.Path(__file__).parent
        return max(check_golden(folder / name) for name in ("snapshot.json", "snapshot_plain.json"))
    if len(argv) != 3:
        print(f"usage: {argv[0]} [KEY_FILE SNAPSHOT]", file=sys.stderr)
        return 64
    key = pathlib.Path(argv[1]).read_bytes().removesuffix(b"\n").removesuffix(b"\r")
    good = verify(key, pathlib.Path(argv[2]).read_bytes())
    print("good" if good else "NOT GOOD")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
