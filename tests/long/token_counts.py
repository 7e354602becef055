#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Token counts of 20,000 texts beside tiktoken's, cl100k_base and o200k_base, asked of a daemon: prose in
many scripts, source code, emoji with joiners, control characters, numbers, and random Unicode.

    tests/long/token_counts.py --daemon build/release/bin/cortexd

tiktoken is the npm package of that name, installed into a folder of this run. Exits with 77 where it
cannot be had. Texts are at most 10 KB: tiktoken's time is quadratic in runs.
"""

import argparse
import http.client
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from daemon import Daemon  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGE = "tiktoken@1.0.22"
TEXTS = 20000
TEXT_BYTES = 10000
A_REQUEST = 2000

SCRIPTS = {
    "latin": (0x61, 0x7A), "accents": (0xC0, 0x17F), "greek": (0x391, 0x3C9), "cyrillic": (0x410, 0x44F),
    "armenian": (0x561, 0x586), "hebrew": (0x5D0, 0x5EA), "arabic": (0x620, 0x64A),
    "devanagari": (0x904, 0x94D), "bengali": (0x985, 0x9B9), "tamil": (0xB85, 0xBB9), "thai": (0xE01, 0xE3A),
    "georgian": (0x10D0, 0x10FA), "ethiopic": (0x1200, 0x1248), "khmer": (0x1780, 0x17B3),
    "hiragana": (0x3041, 0x3096), "katakana": (0x30A1, 0x30FA), "han": (0x4E00, 0x9FA5), "hangul": (0xAC00, 0xD7A3),
}  # fmt: skip
MARKS = [0x301, 0x308, 0x327, 0x345, 0x483, 0x5B0, 0x64B, 0x93C, 0xE48, 0x20D0, 0xFE0F]
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "❤️", "☕️", "🤷🏽‍♀️", "1️⃣", "⭐", "🦀"]
CONTROLS = [chr(code) for code in [*range(1, 32), 0x7F, 0x85, 0xA0, 0xAD, 0x200B, 0x200D, 0x2028, 0x2029, 0xFEFF]]
SPECIAL = ["<|endoftext|>", "<|fim_prefix|>", "<|im_start|>", "<|endofprompt|>"]
# Assigned, or of another class, in a Unicode that is newer than one of the two sides knows: left out of
# random texts. Blocks that Unicode 15.1 and 16 filled or made.
NEWER = [
    (0x1C89, 0x1C8A), (0x897, 0x897), (0xA7CB, 0xA7CD), (0xA7DA, 0xA7DC), (0x2FFC, 0x2FFF), (0x31E3, 0x31EF),
    (0x105C0, 0x105FF), (0x10D40, 0x10D8F), (0x10EC2, 0x10EFC), (0x11380, 0x113FF), (0x116D0, 0x116E3),
    (0x11BC0, 0x11BF9), (0x11F5A, 0x11F5A), (0x13460, 0x143FA), (0x16100, 0x1613F), (0x16D40, 0x16D79),
    (0x18CFF, 0x18CFF), (0x1CC00, 0x1CEBF), (0x1E5D0, 0x1E5FF), (0x1F8B2, 0x1F8C1), (0x1FA89, 0x1FAFF),
    (0x1FBCB, 0x1FBEF), (0x2EBF0, 0x2EE5D), (0xC5C, 0xC5C), (0xCDC, 0xCDC), (0x323B0, 0x3347F),
]  # fmt: skip


def is_newer(code):
    return any(low <= code <= high for low, high in NEWER)


class Maker:
    def __init__(self, seed):
        self.chance = random.Random(seed)
        files = [*ROOT.glob("src/**/*.c"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("docs/*.md"), *ROOT.glob("tests/**/*.mjs")]
        self.code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(files))

    def word(self, script):
        low, high = SCRIPTS[script]
        word = "".join(chr(self.chance.randint(low, high)) for _ in range(self.chance.randint(1, 9)))
        roll = self.chance.random()
        if roll < 0.1:
            word = word.upper()
        elif roll < 0.3:
            word = word.capitalize()
        if self.chance.random() < 0.1:
            at = self.chance.randint(0, len(word))
            word = word[:at] + chr(self.chance.choice(MARKS)) + word[at:]
        return word

    def prose(self):
        script = self.chance.choice(list(SCRIPTS))
        parts = []
        for _ in range(self.chance.randint(1, 120)):
            parts.append(self.word(script if self.chance.random() < 0.9 else self.chance.choice(list(SCRIPTS))))
            parts.append(self.chance.choice([" "] * 12 + [", ", ". ", "; ", "'s ", "'LL ", "\n", "\n\n  ", "…", "。", "! ", "  ", ""]))
        return "".join(parts)

    def source(self):
        at = self.chance.randrange(len(self.code))
        return self.code[at : at + self.chance.randint(1, 3000)]

    def emoji(self):
        return "".join(self.chance.choice([*EMOJI, " ", "ok", "\u200d", "\ufe0f"]) for _ in range(self.chance.randint(1, 60)))

    def controls(self):
        return "".join(self.chance.choice([*CONTROLS, "a", " ", "Zz", "1"]) for _ in range(self.chance.randint(1, 200)))

    def numbers(self):
        return self.chance.choice(["", " ", "\n", ","]).join(str(self.chance.randrange(10 ** self.chance.randint(1, 15))) for _ in range(self.chance.randint(1, 60)))

    def run(self):
        unit = self.chance.choice(["a", "A", " ", "\n", "\t", "-", "=", "0", "é", "中", "\u0301", "ab", " \n", "'s", "/\n", *SPECIAL])
        return (unit * 1200)[: self.chance.randint(1, 1200)] + self.chance.choice(["", "x", " ", "\n"])

    def random_unicode(self):
        text = []
        top = self.chance.choice([0x2FF, 0x2FFF, 0xFFFF, 0x1FFFF, 0x10FFFF])
        while len(text) < self.chance.randint(1, 300):
            code = self.chance.randint(1, top)
            if not 0xD800 <= code <= 0xDFFF and not is_newer(code):
                text.append(chr(code))
        return "".join(text)

    def mixed(self):
        makers = [self.prose, self.source, self.emoji, self.controls, self.numbers, self.random_unicode]
        return "".join(self.chance.choice(makers)()[:400] for _ in range(4)) + self.chance.choice(["", *SPECIAL])

    def texts(self, count):
        makers = [self.prose, self.prose, self.prose, self.source, self.source, self.emoji, self.controls,
                  self.numbers, self.run, self.random_unicode, self.random_unicode, self.mixed]  # fmt: skip
        for _ in range(count):
            text = self.chance.choice(makers)().replace("\x00", "")
            yield text.encode()[:TEXT_BYTES].decode("utf-8", "ignore")


def tiktoken_counts(folder, texts):
    """None where tiktoken cannot be had."""
    if not shutil.which("node") or not shutil.which("npm"):
        return None
    (folder / "package.json").write_text('{"private": true}')
    installed = subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE],
        cwd=folder,
        timeout=300,
        check=False,
    )
    if installed.returncode != 0:
        return None
    shutil.copy(HERE / "token_counts.mjs", folder)
    (folder / "texts.json").write_text(json.dumps(texts))
    subprocess.run(["node", "token_counts.mjs", "texts.json", "counts.json"], cwd=folder, check=True, timeout=1200)
    return json.loads((folder / "counts.json").read_text())


def daemon_counts(program, folder, texts):
    daemon = Daemon(program, folder).start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=120)
        counts = {"cl100k_base": [], "o200k_base": []}
        for name, found in counts.items():
            for at in range(0, len(texts), A_REQUEST // 4):
                body = json.dumps({"texts": texts[at : at + A_REQUEST // 4], "encoding": name})
                connection.request(
                    "POST",
                    "/context/count",
                    body.encode(),
                    {"Authorization": f"Bearer {daemon.token}", "Content-Type": "application/json"},
                )
                response = connection.getresponse()
                answer = response.read()
                if response.status != 200:
                    sys.exit(f"token_counts: {response.status} {answer[:300]}")
                found += json.loads(answer)["tokens"]
        return counts
    finally:
        daemon.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--daemon", required=True, type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=4949)
    options = parser.parse_args()
    texts = list(Maker(options.seed).texts(TEXTS))
    with tempfile.TemporaryDirectory(prefix="cortex-tokens-") as name:
        folder = pathlib.Path(name)
        wanted = tiktoken_counts(folder, texts)
        if wanted is None:
            print(f"skip  the package {PACKAGE} is not to be had here")
            return 77
        got = daemon_counts(options.daemon.resolve(), folder, texts)
    failed = 0
    for encoding, counts in wanted.items():
        different = [n for n in range(len(texts)) if counts[n] != got[encoding][n]]
        failed += len(different)
        print(f"{'FAIL ' if different else 'ok   '} {encoding}: {len(texts)} texts, {sum(counts)} tokens, {len(different)} counted otherwise")
        for n in different[:5]:
            print(f"      {counts[n]} by tiktoken, {got[encoding][n]} here: {texts[n][:300]!r}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
