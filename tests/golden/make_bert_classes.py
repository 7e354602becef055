#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes src/embed/bert_table.c again: make_bert_classes.py > src/embed/bert_table.c, with PyPI's
tokenizers 0.23.3 installed.

Asks the reference tokenizer for each code point what its parts do with it. Its tables are of several
versions of Unicode (categories of 8.0, decompositions of 9.0, lower case of the newest), so that no
one version of a library gives the same.
"""

from tokenizers import normalizers, pre_tokenizers

REMOVED, CLEANED, SPACE, PUNCTUATION, IDEOGRAPH, MARK, COMBINES, WHOLE = (1 << i for i in range(8))
# Decompositions that Unicode gained after 9.0. Those of later versions than utf8proc's are unknown to
# it today, and would be known to a newer one.
NEWER = [(0x105C9, 0x105C9), (0x105E4, 0x105E4), (0x11383, 0x11383), (0x11385, 0x11385),
         (0x1138E, 0x1138E), (0x11391, 0x11391), (0x113C5, 0x113C5), (0x113C7, 0x113C8),
         (0x11938, 0x11938), (0x16121, 0x16128), (0x16D68, 0x16D6A)]  # fmt: skip
# Lower case that utf8proc gained after Unicode 14.0: asked for below, beside what is older.
LOWER_SINCE = [(0x1C89, 0x1C89), (0xA7C0, 0xA7DF), (0x10D50, 0x10D65), (0x16EA0, 0x16EB8)]


def part(**on):
    flags = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    return normalizers.BertNormalizer(**{**flags, **on}).normalize_str


clean, ideograph = part(clean_text=True), part(handle_chinese_chars=True)
strip, lower = part(strip_accents=True), part(lowercase=True)
nfd, split = normalizers.NFD().normalize_str, pre_tokenizers.BertPreTokenizer().pre_tokenize_str


def flags_of(code):
    c = chr(code)
    flags = {"": REMOVED, " ": CLEANED}.get(clean(c), 0)
    pieces = [piece for piece, _ in split("a" + c + "a")]
    flags |= SPACE if pieces == ["a", "a"] else PUNCTUATION if len(pieces) == 3 else 0
    flags |= IDEOGRAPH if ideograph(c) == f" {c} " else 0
    if nfd(c) == c:
        flags |= MARK if strip(c) == "" else 0
        mixed = "a\u0301" + c + "\u0334"  # classes 230, its own, 1: sorted unless it is a starter
        flags |= COMBINES if nfd(mixed) != mixed else 0
        flags |= WHOLE if any(first <= code <= last for first, last in NEWER) else 0
    return flags


def code_points():
    return (code for code in range(0x110000) if not 0xD800 <= code < 0xE000)


def ranges():
    found = []
    for code in code_points():
        flags = flags_of(code)
        if not flags:
            continue
        if found and found[-1][1] == code - 1 and found[-1][2] == flags:
            found[-1][1] = code
        else:
            found.append([code, code, flags])
    return found


def lowered():
    found = []
    for first, last in LOWER_SINCE:
        for code in range(first, last + 1):
            to = lower(chr(code))
            if to != chr(code):
                found.append((code, ord(to)))
    return found


def main():
    table, letters = ranges(), lowered()
    print("""/* SPDX-License-Identifier: MIT AND Unicode-3.0
 *
 * What the reference tokenizer does with characters: made by tests/golden/make_bert_classes.py, not to
 * be edited.
 */
/* clang-format off */
#include "bert_text.h"
""")
    print(f"const struct embed__class embed__classes[EMBED__CLASS_COUNT] = {{ /* {len(table)} */")
    line = "   "
    for first, last, flags in table:
        item = f" {{ 0x{first:X}, 0x{last:X}, {flags} }},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};\n")
    print("const uint8_t embed__ascii_classes[128] = {")
    for row in range(0, 128, 16):
        print("    " + " ".join(f"{flags_of(code)}," for code in range(row, row + 16)))
    print("};\n")
    print(f"const struct embed__letter embed__letters[EMBED__LETTER_COUNT] = {{ /* {len(letters)} */")
    line = "   "
    for code, to in letters:
        item = f" {{ 0x{code:X}, 0x{to:X} }},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};")


if __name__ == "__main__":
    main()
