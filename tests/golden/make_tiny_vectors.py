#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tiny_vectors.json and tiny_tokens.json again, with PyPI's numpy and tokenizers 0.23.3 installed:

    make_tiny_vectors.py

The vectors are what BERT and MPNet are by their papers and by nothing that Cortex has, computed in
float64 from the weights of tiny_model.py; the ids are the reference tokenizer's. tests/unit/embed reads
both."""

import json
import math
import pathlib
import random
import struct
import sys

import numpy
from tokenizers import Tokenizer, normalizers

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "long"))
import tiny_model  # noqa: E402

TEXTS = ["the cat sat on the mat", "The dog RAN fast!", "a", "change the permissions of a file",
         "how do I add a directory to the search path?", "Café naïve: 中国の人 テスト 한글", "αβγ ΣΊΣ Привет мир",
         "memory, context and state of agents " * 9, "[MASK] of [SEP] x", "red green blue", "blue green red",
         "🙂 unknown"]  # fmt: skip
VARIANTS = [dict(), dict(pooling="cls"), dict(pooling="max"), dict(dtype="F16"), dict(dtype="BF16", shards=3),
            dict(prefix="bert.", seed=2, vocab=True), dict(family="mpnet", seed=3), dict(prompts=True)]  # fmt: skip

erf = numpy.vectorize(math.erf)


def weights_of(variant):
    named = tiny_model.tensors(variant.get("family", "bert"), variant.get("seed", 1))
    dtype = variant.get("dtype", "F32")
    pack = tiny_model.PACK[dtype]
    return {name: numpy.array([tiny_model.float_of(pack(v), dtype) for v in values], dtype=float).reshape(shape)
            for name, (shape, values) in named.items()}  # fmt: skip


def norm(x, w, name):
    x = x - x.mean(-1, keepdims=True)
    x = x / numpy.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
    return x * w[name + ".weight"] + w[name + ".bias"]


def linear(x, w, name):
    return x @ w[name + ".weight"].T + w[name + ".bias"]


def relative_bucket(distance):
    """MPNet's, for distance = key position - query position (T5's, both directions, 32 buckets, 128 far)."""
    n, base = -distance, 0
    if n < 0:
        base, n = 16, -n
    if n < 8:
        return base + n
    return base + min(15, 8 + int(math.log(n / 8) / math.log(128 / 8) * 8))


def forward(w, ids, family):
    s = tiny_model.SHAPE
    n, heads, size = len(ids), s["heads"], s["hidden"] // s["heads"]
    first = 2 if family == "mpnet" else 0
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][first : first + n]
    if family == "bert":
        x = x + w["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, w, "embeddings.LayerNorm")
    bias = 0.0
    if family == "mpnet":
        table = w["encoder.relative_attention_bias.weight"]
        bias = numpy.array([[table[relative_bucket(j - i)] for j in range(n)] for i in range(n)]).transpose(2, 0, 1)
    names = dict(bert=("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
                       "attention.output.LayerNorm"),
                 mpnet=("attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o",
                        "attention.LayerNorm"))[family]  # fmt: skip
    for i in range(s["layers"]):
        at = f"encoder.layer.{i}."
        q, k, v = (linear(x, w, at + name).reshape(n, heads, size).transpose(1, 0, 2) for name in names[:3])
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(size) + bias
        scores = numpy.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ v
        x = norm(x + linear(mixed.transpose(1, 0, 2).reshape(n, -1), w, at + names[3]), w, at + names[4])
        inner = linear(x, w, at + "intermediate.dense")
        inner = inner / 2 * (1 + erf(inner / math.sqrt(2)))
        x = norm(x + linear(inner, w, at + "output.dense"), w, at + "output.LayerNorm")
    return x


def pooled(x, pooling):
    x = {"mean": lambda: x.mean(0), "cls": lambda: x[0], "max": lambda: x.max(0)}[pooling]()
    return x / numpy.sqrt((x * x).sum())


def tokenizer(**options):
    made = Tokenizer.from_str(json.dumps(tiny_model.tokenizer_json(**options)))
    made.no_padding()
    made.enable_truncation(40)
    return made


def make_vectors():
    ids_of = tokenizer()
    out = []
    for variant in VARIANTS:
        w = weights_of(variant)
        prompt = "query: " if variant.get("prompts") else ""
        rows = [pooled(forward(w, ids_of.encode(prompt + text).ids, variant.get("family", "bert")),
                       variant.get("pooling", "mean")) for text in TEXTS]  # fmt: skip
        out.append(dict(options=variant, vectors=[[float(f"{v:.9g}") for v in row] for row in rows]))
    return dict(texts=TEXTS, variants=out)


def fnv(data, seed=0xCBF29CE484222325):
    for byte in data:
        seed = (seed ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return seed


def make_tokens():
    import tokenizer as texts_of  # tests/long/tokenizer.py: its hand-written and random texts

    rng = random.Random(7)
    texts = [t for t in texts_of.BY_HAND if len(t) < 400] + [texts_of.random_text(rng)[:120] for _ in range(160)]
    rows = []
    for cased in (False, True):
        made = tokenizer(lowercase=not cased)
        made.no_truncation()
        for text in texts:
            rows.append(dict(text=text.replace("\0", "\ue000"), cased=cased, ids=made.encode(text.replace("\0", "\ue000")).ids))
    points = []
    for clean, ideographs, strip, lower in ((1, 1, 1, 1), (1, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)):
        normalize = normalizers.BertNormalizer(clean_text=bool(clean), handle_chinese_chars=bool(ideographs),
                                               strip_accents=bool(strip), lowercase=bool(lower)).normalize_str  # fmt: skip
        seed = 0xCBF29CE484222325
        for code in range(0x110000):
            if not 0xD800 <= code < 0xE000:
                seed = fnv((normalize(f"a\u0323\u302e{chr(code)}\u302a\u302fb") + "\n").encode(), seed)
        points.append(dict(clean=bool(clean), ideographs=bool(ideographs), strip=bool(strip), lower=bool(lower),
                           fnv=f"{seed:016x}"))  # fmt: skip
    config = next(c for name, c in texts_of.settings(tiny_model.tokenizer_json()) if name == "with added tokens")
    made = Tokenizer.from_str(json.dumps(config))
    made.no_truncation()
    words = texts_of.ADDED_WORDS + texts_of.WORDS[:12]
    found = [rng.choice(["", " ", "x"]).join(rng.choices(words, k=rng.randint(1, 9))) for _ in range(120)]
    added = dict(added_tokens=config["added_tokens"], texts=[dict(text=t, ids=made.encode(t).ids) for t in found])
    return dict(texts=rows, code_points=points, added=added)


def main():
    (HERE / "tiny_vectors.json").write_text(json.dumps(make_vectors(), indent=0, ensure_ascii=False) + "\n")
    (HERE / "tiny_tokens.json").write_text(json.dumps(make_tokens(), ensure_ascii=False).replace('{"text"', '\n{"text"') + "\n")


if __name__ == "__main__":
    main()
