#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A step of the build: build_table.py NAME NAME.bin.xz OUT turns ranks into the table that is linked in.

NAME.bin.xz: xz over the length of every token in the order of ranks, one byte each, and then the
tokens one after another: the lengths end where they add up to what is left.

OUT, all numbers little-endian and 32 bits wide (src/context/vocabulary.h reads it):

    header   magic, tokens, slots, bucket bits, longest token, seed, then where these begin:
    slots    16 bytes each: up to 12 bytes of token, zero padded, and rank | length << 24;
             of a longer token its place and length in the pool, and rank | 13 << 24; free: 15 << 24
    buckets  16 bits that its words set, one each (a word that finds its own unset is no token), and
             16 bits of pilot
    order    for each rank its slot
    singles  for each byte its rank
    pairs    for each two bytes, first * 256 + second, their rank; 2^32 - 1: they are no token
    pool     the tokens of more than 12 bytes

The slots are a perfect hash: a token's hash names a bucket, the bucket's pilot and the hash name the
slot, so that looking a word up costs two reads and never a second probe.
"""

import base64
import hashlib
import lzma
import struct
import sys
from pathlib import Path

# SHA-256 of the .tiktoken file, as tiktoken/openai_public.py has it.
ENCODINGS = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}

MAGIC = 0x50425843
HEAD = struct.Struct("<13I")
INLINE_BYTES = 12
LONG = 13
FREE = 15 << 24
NO_TOKEN = 0xFFFFFFFF
LOAD = 0.93
KEYS_PER_BUCKET = 3.2
MASK32 = 0xFFFFFFFF
MASK64 = 0xFFFFFFFFFFFFFFFF
START, STEP, LAST = 0x9E3779B97F4A7C15, 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53
PILOT_STEP, PILOT_MIX = 0x9E3779B1, 0x85EBCA6B


def tiktoken_sha256(tokens):
    digest = hashlib.sha256()
    for rank, token in enumerate(tokens):
        digest.update(b"%s %d\n" % (base64.b64encode(token), rank))
    return digest.hexdigest()


def read_tokens(path):
    raw = lzma.decompress(path.read_bytes())
    total = count = 0
    while total + count < len(raw):
        total += raw[count]
        count += 1
    at = count
    tokens = []
    for length in raw[:count]:
        tokens.append(raw[at : at + length])
        at += length
    return tokens


def hash_of(token, seed):
    """vocabulary_hash of src/context/vocabulary.h."""
    padded = token + bytes(-len(token) % 8 if len(token) > 8 else 16 - len(token))
    value = (START * (len(token) + seed)) & MASK64
    for word in struct.unpack(f"<{len(padded) // 8}Q", padded):
        value = ((value ^ word) * STEP) & MASK64
        value ^= value >> 32
    value = (value * LAST) & MASK64
    return value ^ value >> 32


def place(tokens, seed, slot_count, bucket_bits):
    """(buckets, slot of each token), or None where this seed has no solution."""
    buckets = [[] for _ in range(1 << bucket_bits)]
    words = [0] * len(buckets)
    for rank, token in enumerate(tokens):
        value = hash_of(token, seed)
        number = value >> (64 - bucket_bits)
        buckets[number].append((value & MASK32, rank))
        words[number] |= 1 << (value >> (60 - bucket_bits) & 15)
    slot_of = [0] * len(tokens)
    taken = bytearray(slot_count)
    for number in sorted(range(len(buckets)), key=lambda n: -len(buckets[n])):
        low = [value for value, _ in buckets[number]]
        for pilot in range(1 << 16):
            turn = (pilot * PILOT_STEP) & MASK32
            spots = [(((x ^ turn) * PILOT_MIX & MASK32) * slot_count) >> 32 for x in low]
            if not any(taken[spot] for spot in spots) and len(set(spots)) == len(spots):
                break
        else:
            return None
        words[number] |= pilot << 16
        for spot, (_, rank) in zip(spots, buckets[number]):
            taken[spot] = 1
            slot_of[rank] = spot
    return words, slot_of


def build(tokens):
    slot_count = int(len(tokens) / LOAD)
    bucket_bits = round(len(tokens) / KEYS_PER_BUCKET).bit_length()
    seed = 0
    while (placed := place(tokens, seed, slot_count, bucket_bits)) is None:
        seed += 1
    buckets, slot_of = placed

    slots = bytearray(struct.pack("<12xI", FREE) * slot_count)
    pool = bytearray()
    for rank, (token, slot) in enumerate(zip(tokens, slot_of)):
        if len(token) <= INLINE_BYTES:
            entry = struct.pack("<12sI", token, rank | len(token) << 24)
        else:
            entry = struct.pack("<2I4xI", len(pool), len(token), rank | LONG << 24)
            pool += token
        slots[slot * 16 : slot * 16 + 16] = entry

    ranks = {token: rank for rank, token in enumerate(tokens) if len(token) <= 2}
    pairs = (ranks.get(struct.pack(">H", pair), NO_TOKEN) for pair in range(1 << 16))
    parts = [
        bytes(slots),
        struct.pack(f"<{len(buckets)}I", *buckets),
        struct.pack(f"<{len(slot_of)}I", *slot_of),
        struct.pack("<256I", *(ranks[bytes([byte])] for byte in range(256))),
        struct.pack("<65536I", *pairs),
        bytes(pool),
    ]
    at = 64
    places = []
    out = bytearray()
    for part in parts:
        part += bytes(-len(part) % 64)
        places.append(at)
        at += len(part)
        out += part
    head = HEAD.pack(
        MAGIC, len(tokens), slot_count, bucket_bits, max(map(len, tokens)), seed, *places, at
    )
    return head.ljust(64, b"\0") + out


def main():
    name, source, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    tokens = read_tokens(source)
    if tiktoken_sha256(tokens) != ENCODINGS[name]:
        sys.exit(f"{source}: damaged")
    out.write_bytes(build(tokens))


if __name__ == "__main__":
    main()
