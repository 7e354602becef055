#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes NAME.bin.xz again from the package js-tiktoken: unpack_ranks.py PACKAGE_FOLDER [OUT_FOLDER].

PACKAGE_FOLDER is what `npm pack js-tiktoken@1.0.21` gives, unpacked (README.md has its hash). The
ranks in it are written out as tiktoken's own .tiktoken text and compared with the SHA-256 that
tiktoken itself expects of that file; build_table.py has the format of what is written.
"""

import base64
import lzma
import re
import sys
from pathlib import Path

from build_table import ENCODINGS, tiktoken_sha256


def read_ranks(path):
    """Tokens in the order of their ranks. Each line of the string: "! FIRST_RANK TOKEN TOKEN …"."""
    match = re.search(r'"bpe_ranks":"((?:[^"\\]|\\.)*)"', path.read_text(encoding="ascii"))
    tokens = {}
    for line in match[1].replace("\\n", "\n").split("\n"):
        _, first, *words = line.split(" ")
        for rank, word in enumerate(words, int(first)):
            tokens[rank] = base64.b64decode(word, validate=True)
    return [tokens[rank] for rank in range(len(tokens))]


def main():
    package = Path(sys.argv[1])
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).resolve().parent
    for name, sha256 in ENCODINGS.items():
        tokens = read_ranks(package / "dist" / "ranks" / f"{name}.js")
        if tiktoken_sha256(tokens) != sha256:
            sys.exit(f"{name}: these are not tiktoken's ranks")
        raw = bytes(len(token) for token in tokens) + b"".join(tokens)
        packed = lzma.compress(raw, check=lzma.CHECK_CRC64, preset=9 | lzma.PRESET_EXTREME)
        (out / f"{name}.bin.xz").write_bytes(packed)
        print(f"{name}: {len(tokens)} tokens, {len(packed)} bytes")


if __name__ == "__main__":
    main()
