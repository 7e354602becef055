#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes src/embed/idf_table.c: how rare a word stem is in general English and technical prose.

    make_idf.py --unpacked DIR [--stems 8192] [--list] > src/embed/idf_table.c

DIR holds one folder per package of PACKAGES, each unpacked with `dpkg -x` (README.md shows how).
Only document frequencies leave this script: no text of the packages does.

The text is cut into passages of some 100 words; a stem's document frequency is the number of
passages that have it. Words and stems are formed as src/embed/words.c does (lower case, accents
folded, letters and digits, Porter), by the same libstemmer. A stem is found by the high 32 bits of
FNV-1a 64 of its bytes, finished as in src/embed/hash.h.
"""

import argparse
import collections
import ctypes
import ctypes.util
import html.parser
import math
import pathlib
import re
import sys
import unicodedata

PACKAGES = {
    "wordnet-base": "glosses",
    "python3.11-doc": "usr/share/doc/python3.11/html",
    "postgresql-doc-15": "usr/share/doc/postgresql-doc-15/html",
    "sqlite3-doc": "usr/share/doc/sqlite3",
    "apache2-doc": "usr/share/doc/apache2-doc/manual/en",
    "python-django-doc": "usr/share/doc/python-django-doc/html",
}
PASSAGE_WORDS = 100
STEPS_PER_UNIT = 20  # a weight byte is idf * 20, rounded


class Stemmer:
    def __init__(self):
        name = ctypes.util.find_library("stemmer") or "libstemmer.so.0d"
        self.lib = ctypes.CDLL(name)
        self.lib.sb_stemmer_new.restype = ctypes.c_void_p
        self.lib.sb_stemmer_stem.restype = ctypes.c_void_p
        self.lib.sb_stemmer_stem.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        self.lib.sb_stemmer_length.argtypes = [ctypes.c_void_p]
        self.handle = self.lib.sb_stemmer_new(b"porter", b"UTF_8")
        self.known = {}

    def __call__(self, word):
        stem = self.known.get(word)
        if stem is None:
            raw = word.encode()
            at = self.lib.sb_stemmer_stem(self.handle, raw, len(raw))
            stem = ctypes.string_at(at, self.lib.sb_stemmer_length(self.handle)).decode()
            self.known[word] = stem
        return stem


class Text(html.parser.HTMLParser):
    """The words a reader sees: no scripts, styles, navigation."""

    SKIPPED = {"script", "style", "nav", "head"}

    def __init__(self):
        super().__init__()
        self.depth = 0
        self.parts = []

    def handle_starttag(self, tag, attrs):
        if tag in self.SKIPPED:
            self.depth += 1

    def handle_endtag(self, tag):
        if tag in self.SKIPPED and self.depth > 0:
            self.depth -= 1

    def handle_data(self, data):
        if self.depth == 0:
            self.parts.append(data)


def words_of(text):
    folded = "".join(c for c in unicodedata.normalize("NFD", text.lower())
                     if not unicodedata.combining(c))
    return re.findall(r"[a-z0-9]+", folded)


def html_passages(folder):
    for path in sorted(folder.rglob("*.html*")):
        if "releaselog" in path.parts or "_modules" in path.parts:
            continue
        if path.suffix != ".html" and not path.name.endswith(".html.en"):
            continue
        parser = Text()
        parser.feed(path.read_text(encoding="utf-8", errors="replace"))
        words = words_of(" ".join(parser.parts))
        for at in range(0, len(words), PASSAGE_WORDS):
            yield words[at:at + PASSAGE_WORDS]


def gloss_passages(folder):
    glosses = []
    for kind in ("adj", "adv", "noun", "verb"):
        path = next(folder.rglob(f"data.{kind}"))
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("  ") or "|" not in line:
                continue
            fields, gloss = line.split("|", 1)
            names = fields.split()[4:4 + 2 * int(fields.split()[3], 16):2]
            glosses.append(words_of(" ".join(names).replace("_", " ") + " " + gloss))
    # Neighbours in the file are of one subject: a passage takes glosses that are far apart.
    total = sum(len(g) for g in glosses)
    count = max(1, total // PASSAGE_WORDS)
    passages = [[] for _ in range(count)]
    for at, gloss in enumerate(glosses):
        passages[at % count].extend(gloss)
    yield from passages


def stem_hash(stem):
    value = 0xCBF29CE484222325
    for byte in stem.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    value ^= value >> 32
    value = (value * 0xD6E8FEB86659FD93) & 0xFFFFFFFFFFFFFFFF
    value ^= value >> 32
    value = (value * 0xD6E8FEB86659FD93) & 0xFFFFFFFFFFFFFFFF
    value ^= value >> 32
    return value


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--unpacked", type=pathlib.Path, required=True)
    args.add_argument("--stems", type=int, default=8192)
    args.add_argument("--list", action="store_true", help="print stems and weights instead of C")
    args = args.parse_args()

    stemmer = Stemmer()
    frequency = collections.Counter()
    passages = 0
    for package, inner in PACKAGES.items():
        folder = args.unpacked / package
        source = gloss_passages(folder) if inner == "glosses" else html_passages(folder / inner)
        before = passages
        for words in source:
            frequency.update({stemmer(w) for w in words if len(w) <= 64})
            passages += 1
        print(f"{package}: {passages - before} passages", file=sys.stderr)

    # Numbers say little of how rare they are elsewhere.
    kept = [(s, n) for s, n in frequency.items() if not s.isdigit() and len(s) > 0]
    kept.sort(key=lambda item: (-item[1], item[0]))
    kept = kept[:args.stems]

    def weight(n):
        return min(255, round(STEPS_PER_UNIT * math.log((passages + 1) / (n + 0.5))))

    unknown = weight(kept[-1][1])
    if args.list:
        for stem, n in kept:
            print(stem, n, weight(n))
        return
    rows = {}
    for stem, n in kept:
        rows.setdefault(stem_hash(stem) >> 32, weight(n))  # the commoner of two that collide
    print("""/* SPDX-License-Identifier: MIT
 *
 * How rare a word stem is: made by third_party/idf/make_idf.py (its README.md names the texts and
 * their licences), not to be edited. Keys are sorted hashes of stems; a weight is 20 times the
 * natural logarithm of the inverse document frequency.
 */
/* clang-format off */
#include "idf_table.h"
""")
    print(f"const uint8_t embed__idf_unknown = {unknown};")
    print("const uint32_t embed__idf_keys[EMBED__IDF_COUNT] = {")
    keys = sorted(rows)
    assert len(keys) <= 8192
    while len(keys) < args.stems:  # keep the declared length
        keys.append(0xFFFFFFFF)
        rows[0xFFFFFFFF] = unknown
    for at in range(0, len(keys), 8):
        print("    " + " ".join(f"0x{key:08x}," for key in keys[at:at + 8]))
    print("};")
    print("const uint8_t embed__idf_weights[EMBED__IDF_COUNT] = {")
    for at in range(0, len(keys), 20):
        print("    " + " ".join(f"{rows[key]}," for key in keys[at:at + 20]))
    print("};")


if __name__ == "__main__":
    main()
