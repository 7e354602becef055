#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tokens.json again: make_tokens.py > tokens.json, with PyPI's tiktoken installed.

The texts and what tiktoken makes of them under the ranks of third_party/bpe: how many tokens, and
FNV-1a (64 bits) over their numbers as little-endian 32-bit words. tests/unit/context reads it.
"""

import json
import random
import sys
from pathlib import Path

import tiktoken
import tiktoken_ext.openai_public as public

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "third_party" / "bpe"))
from build_table import ENCODINGS, read_tokens  # noqa: E402

# Where a random text takes its characters from.
RANGES = [
    (0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x2FF), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF),
    (0x531, 0x58F), (0x591, 0x5F4), (0x600, 0x6FF), (0x700, 0x7BF), (0x900, 0x97F), (0x980, 0x9FF),
    (0xB80, 0xBFF), (0xE01, 0xE5B), (0xE80, 0xEDF), (0xF00, 0xFFF), (0x1000, 0x109F),
    (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x137F), (0x13A0, 0x13FF), (0x1780, 0x17FF),
    (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x218F), (0x2190, 0x2BFF), (0x2C80, 0x2CFF),
    (0x3000, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA640, 0xA7FF), (0xAC00, 0xD7A3),
    (0xFB00, 0xFDFF), (0xFE00, 0xFFFF), (0x10400, 0x104FF), (0x10D40, 0x10D8F), (0x1D400, 0x1D7FF),
    (0x1E900, 0x1E95F), (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF), (0xE0000, 0xE01EF),
]  # fmt: skip

BY_HAND = """
Hello, world!|The quick brown fox jumps over the lazy dog.|I'm sure they'll say we've won; you'd've
thought I'D KNOW, HE'S HERE, WE'RE OUT|x'ſ 'ſt I'ſx foo'ſx|don’t ‘quote’ “this”|'s|'S|'re|'rE|'l|'ll
'lLama|''s|a's's|'|' '|fooBar fooBAR FooBar FOOBar fOO|HTTPServer2XMLparser|snake_case_name|kebab-case
1|12|123|1234|1234567890|3.14159e-10|1,000,000.00|²³¹|Ⅷ٣४५६७|0x7fff_ffff|٠١٢٣٤٥٦٧٨٩|½¾⅓⅔
<|endoftext|>|<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>|<|endofprompt|><|im_start|>user
naïve café résumé|Straße GROẞ|İstanbul ılık|Ελληνικά ΣΊΣΥΦΟΣ|Привет, мир! ПРИВЕТ|Україна|ქართული
שלום עולם|مرحبا بالعالم|नमस्ते दुनिया|বাংলা ভাষা|தமிழ் மொழி|ภาษาไทยไม่มีช่องว่าง|ພາສາລາວ|မြန်မာ
አማርኛ|ភាសាខ្មែរ|བོད་སྐད་|中文没有空格，标点也不同。|日本語のテキスト、カタカナとひらがな|한국어 문장입니다.|漢字仮名交じり文ABC中A中AA
e\u0301|A\u0301A|\u0301A|\u0301AA|\u0301a|\u0301\u0301Ab| \u0301b|\u0301|a\u0301\u0301\u0301z|中\u0301A
ǅabc ǅ AǅB|ʰaʰ Aʰ ʰA|ªº|ŉ ﬁn ﬀ|ＦＵＬＬｗｉｄｔｈ１２３４|𝐁𝐨𝐥𝐝 𝒮𝒸𝓇𝒾𝓅𝓉 𝟙𝟚𝟛𝟜|𐐀𐐨𐐀|𞤀𞤢
😀|😀😀😀😀|👨‍👩‍👧‍👦|🏳️‍🌈|🇩🇪🇫🇷|👍🏽|❤️|☕️ time|🤷🏽‍♀️!?|™©®|→⇒↔|∑∫√∞|±×÷|€100 £5 ¥9
"""
BY_ESCAPE = [
    "", " ", "  ", "   ", " a", "  a", "   a", "a ", "a  ", "\n", "\n\n", "\n\n\n", "\r\n", "\r\n\r\n",
    " \n", "\n ", "\n  ", " \n ", " \n \n", "a\n", "a\nb", "a\n\nb", "a \n b", "a  \n  b", "a\n  ",
    "a \n \n  b", "\t", "\t\t", "\ta", "\t\ta", "a\tb", " \t a", "\t \tb", "\n\ta", "\x0b", "\x0c a",
    "\x1c\x1d\x1e\x1f", "\x85", "a\x85b", "\xa0a", "\xa0\xa0a", "\u1680a", "\u180ea", "\u2003 \u2003x",
    "\u2028a\u2029", "\u200ba", "\u202f1", "\u3000\u3000日", "\ufeffhi", "\x00", "a\x00b", "\x00\x00\x00",
    "\x7f", "!", "!!", " !", "  !", "!\n", "!\n\n", "!\r\n!", " !!\n a", "...\n\n...", "/\n/\n", "//\n//",
    "https://example.org/a/b?c=d&e=f#g", "a/b/c", "/\r\n/", "// comment\n/* more */\n", "#include <x.h>\n",
    "if (a != b) {\n    return;\n}\n", "def f(x):\n\treturn x**2  # no\n\n\n", "<p class=\"x\">y</p>",
    "{\"a\": [1, 2.5, null], \"b\": \"\\u00e9\\n\"}", "SELECT * FROM t WHERE a='b''c';", "$100.00!",
    "user@example.org", "==========", "----------", "**********", "-=-=-=-=-=-=", "()[]{}", "\\\\\\n",
    "\ufffd\ufffd", "\uffff\ufffe", "\U0010ffff", "\ue000\uf8ff", "\U000f0000", "\U000e0001\U000e0100",
    "\ud7ff\ue000", "\u0378\u0379", "\U0001e6c0\U0001e6c1", "\U00010d4a\U00010d50\U00010d40",
    "\U0002ebf0", "\u1c89\u1c8a", "\ua7cb\ua7da", "\u0897", "Pneumonoultramicroscopicsilicovolcanoconiosis",
]  # fmt: skip
RUNS = ["a", "A", "Ab", "ab", "0", " ", "\n", "\t", " \n", "\r\n", "-", "=", "=-", "'", "'s", "/\n", ".",
        "é", "e\u0301", "\u0301", "\u0301A", "中", "中A", "の", "가", "ก", "ا", "😀", "\xa0", "\u200d", "\ufffd",
        "etaoin", "_", "ABCdef"]  # fmt: skip
LENGTHS = (7, 63, 64, 65, 1023, 1024, 1025, 2500)


def texts():
    for line in BY_HAND.strip().split("\n"):
        for text in line.split("|"):
            yield text.encode("ascii", "backslashreplace").decode("unicode_escape")
    yield from BY_ESCAPE
    for position, run in enumerate(RUNS):
        for length in (LENGTHS[position % 4], LENGTHS[position % 4 + 4]):
            yield (run * length)[:length]
            yield (run * length)[:length] + "x"
    chance = random.Random(4949)
    pick = lambda: chr(chance.randint(*chance.choice(RANGES)))  # noqa: E731
    for _ in range(60):
        low, high = chance.choice(RANGES)
        yield "".join(
            chance.choice([chr(chance.randint(low, high))] * 8 + [" ", "\n", "'s", "1"])
            for _ in range(chance.randint(1, 120))
        )
    for _ in range(60):
        yield "".join(pick() for _ in range(chance.randint(1, 60)))
    for _ in range(60):
        yield "".join(chance.choice("aAbZ中ǅʰ\u0301é 1'sSſt/.\n\r\t\xa0") for _ in range(40))
    for _ in range(10):
        yield "".join(chance.choice("etaoinshrdlu") for _ in range(chance.randint(60, 3000)))


def fnv(ids):
    value = 0xCBF29CE484222325
    for number in ids:
        for byte in number.to_bytes(4, "little"):
            value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def encoding(name):
    tokens = read_tokens(ROOT / "third_party" / "bpe" / f"{name}.bin.xz")
    public.load_tiktoken_bpe = lambda *_, **__: {token: rank for rank, token in enumerate(tokens)}
    return tiktoken.Encoding(**getattr(public, name)())


def main():
    encodings = {name: encoding(name) for name in ENCODINGS}
    rows = []
    for text in dict.fromkeys(texts()):
        row = {"text": text}
        for name, oracle in encodings.items():
            ids = oracle.encode_ordinary(text)
            row[name] = [len(ids), fnv(ids)]
        rows.append(json.dumps(row))
    version = json.dumps(f"tiktoken {tiktoken.__version__}")
    print(f'{{"made_with": {version}, "texts": [\n' + ",\n".join(rows) + "\n]}")


if __name__ == "__main__":
    main()
