#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a small model directory as sentence-transformers lays one out, with nothing but the standard
library: every weight is made from a seed, so that all who run it get the same files.

    tiny_model.py FOLDER [--dtype F32|F16|BF16] [--shards N] [--pooling mean|cls|max] [--family bert|mpnet]
                         [--prefix TEXT] [--vocab] [--prompts] [--seed N]
    tiny_model.py FOLDER --variants tiny_vectors.json     one of each in FOLDER/0, FOLDER/1 …

It has learned nothing: texts that share words come to lie close to each other, and that is all.
"""

import argparse
import json
import pathlib
import struct

SHAPE = dict(hidden=32, layers=2, heads=4, intermediate=64, positions=48, types=2)
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [chr(c) for c in range(0x21, 0x7F) if not chr(c).isupper()]
BEYOND = list("àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿßœžαβγδεζηθικλμνξοπρστυφχψωабвгдежзийклмнопрстуфхцчшщъыьэюя中国日本語の人大テスト한글أبجدअआइ€₤→")
PIECES = """the of and to in is was for that with as on by it at from are this not be an or have file files directory
    permission permissions change add find remove list search memory vector context agent state query document model
    text word words token tokens cat cats dog dogs sat mat ran fast slow sky blue sea green sun moon star tree river
    mountain house door window key lock open close red black white small large old new good bad""".split()
INNER = "s ing ed er est ly tion able un al ness ment ful less e a i o u n t r l d m".split()


def words():
    return SPECIALS + LETTERS + BEYOND + PIECES + ["##" + p for p in [*LETTERS, *BEYOND] if p not in INNER] + [
        "##" + p for p in INNER]  # fmt: skip


def vocabulary():
    out = {}
    for word in words():
        out.setdefault(word, len(out))
    return out


def tokenizer_json(lowercase=True, specials=("[CLS]", "[SEP]")):
    vocab = vocabulary()
    first, last = specials
    return {
        "version": "1.0", "truncation": {"max_length": 8, "strategy": "LongestFirst", "stride": 0}, "padding": None,
        "added_tokens": [dict(id=vocab[t], content=t, single_word=False, lstrip=False, rstrip=False, normalized=False,
                              special=True) for t in SPECIALS],
        "normalizer": dict(type="BertNormalizer", clean_text=True, handle_chinese_chars=True, strip_accents=None,
                           lowercase=lowercase),
        "pre_tokenizer": dict(type="BertPreTokenizer"),
        "post_processor": dict(
            type="TemplateProcessing",
            single=[dict(SpecialToken=dict(id=first, type_id=0)), dict(Sequence=dict(id="A", type_id=0)),
                    dict(SpecialToken=dict(id=last, type_id=0))],
            pair=[],
            special_tokens={t: dict(id=t, ids=[vocab[t]], tokens=[t]) for t in specials}),
        "decoder": dict(type="WordPiece", prefix="##", cleanup=True),
        "model": dict(type="WordPiece", unk_token="[UNK]", continuing_subword_prefix="##",
                      max_input_chars_per_word=100, vocab=vocab),
    }  # fmt: skip


def numbers(count, seed, scale, middle=0.0):
    """Multiples of 2^-12 around middle, no two seeds alike (a 64-bit xorshift, Marsaglia 2003)."""
    x = (seed * 0x9E3779B97F4A7C15 + 0x1234567) & (1 << 64) - 1 or 1
    out = []
    for _ in range(count):
        x ^= x << 13 & (1 << 64) - 1
        x ^= x >> 7
        x ^= x << 17 & (1 << 64) - 1
        out.append(middle + scale * (((x >> 20) % 8192) - 4096) / 4096)
    return out


def half_of(value):
    return struct.pack("<e", value)


def bfloat_of(value):
    """To nearest, ties to even."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    return struct.pack("<H", bits + 0x7FFF + (bits >> 16 & 1) >> 16)


def float_of(data, dtype):
    if dtype == "BF16":
        return struct.unpack("<f", b"\0\0" + data)[0]
    return struct.unpack("<e" if dtype == "F16" else "<f", data)[0]


PACK = {"F32": lambda v: struct.pack("<f", v), "F16": half_of, "BF16": bfloat_of}


def tensors(family="bert", seed=1, prefix=""):
    """Name → (shape, values), in the order in which they are made."""
    s, out = SHAPE, {}
    rows = len(vocabulary()) + (0 if family == "bert" else 3)

    def put(name, shape, scale, middle=0.0):
        count = 1
        for n in shape:
            count *= n
        out[prefix + name] = (shape, numbers(count, seed * 1000 + len(out), scale, middle))

    def linear(name, rows, columns):
        put(name + ".weight", [rows, columns], 0.25)
        put(name + ".bias", [rows], 0.125)

    def norm(name):
        put(name + ".weight", [s["hidden"]], 0.25, 1.0)
        put(name + ".bias", [s["hidden"]], 0.125)

    h = s["hidden"]
    put("embeddings.word_embeddings.weight", [rows, h], 1.0)
    put("embeddings.position_embeddings.weight", [s["positions"], h], 0.25)
    if family == "bert":
        put("embeddings.token_type_embeddings.weight", [s["types"], h], 0.25)
    norm("embeddings.LayerNorm")
    if family == "mpnet":
        put("encoder.relative_attention_bias.weight", [32, s["heads"]], 0.5)
    for i in range(s["layers"]):
        at = f"encoder.layer.{i}."
        if family == "bert":
            for part in ("self.query", "self.key", "self.value", "output.dense"):
                linear(at + "attention." + part, h, h)
            norm(at + "attention.output.LayerNorm")
        else:
            for part in "qkvo":
                linear(at + "attention.attn." + part, h, h)
            norm(at + "attention.LayerNorm")
        linear(at + "intermediate.dense", s["intermediate"], h)
        linear(at + "output.dense", h, s["intermediate"])
        norm(at + "output.LayerNorm")
    return out


def write_safetensors(path, named, dtype):
    header, data = {"__metadata__": {"format": "pt"}}, bytearray()
    for name, (shape, values) in named.items():
        begin = len(data)
        for value in values:
            data += PACK[dtype](value)
        header[name] = dict(dtype=dtype, shape=shape, data_offsets=[begin, len(data)])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write(folder, dtype="F32", shards=1, pooling="mean", family="bert", prefix="", vocab=False, prompts=False, seed=1):
    folder, seed, shards = pathlib.Path(folder), int(seed), int(shards)
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)

    def put(name, value):
        (folder / name).write_text(json.dumps(value, indent=1) + "\n")

    named = tensors(family, seed, prefix)
    rows = named[prefix + "embeddings.word_embeddings.weight"][0][0]
    put("config.json", dict(
        architectures=["BertModel" if family == "bert" else "MPNetModel"], model_type=family, hidden_act="gelu",
        hidden_size=SHAPE["hidden"], num_hidden_layers=SHAPE["layers"], num_attention_heads=SHAPE["heads"],
        intermediate_size=SHAPE["intermediate"], max_position_embeddings=SHAPE["positions"],
        type_vocab_size=SHAPE["types"], vocab_size=rows, layer_norm_eps=1e-12, pad_token_id=0,
        **({"relative_attention_num_buckets": 32} if family == "mpnet" else {})))  # fmt: skip
    put("modules.json", [dict(idx=0, name="0", path="", type="sentence_transformers.models.Transformer"),
                         dict(idx=1, name="1", path="1_Pooling", type="sentence_transformers.models.Pooling"),
                         dict(idx=2, name="2", path="2_Normalize", type="sentence_transformers.models.Normalize")])
    put("1_Pooling/config.json", dict(
        word_embedding_dimension=SHAPE["hidden"], pooling_mode_cls_token=pooling == "cls",
        pooling_mode_mean_tokens=pooling == "mean", pooling_mode_max_tokens=pooling == "max",
        pooling_mode_mean_sqrt_len_tokens=False))  # fmt: skip
    put("sentence_bert_config.json", dict(max_seq_length=40, do_lower_case=False))
    put("tokenizer_config.json", dict(do_lower_case=True, tokenizer_class="BertTokenizer", strip_accents=None,
                                      model_max_length=10**30, cls_token="[CLS]", sep_token=dict(content="[SEP]")))
    put("config_sentence_transformers.json", dict(
        __version__=dict(sentence_transformers="2.0.0"),
        **(dict(prompts=dict(query="query: ", document="document: ")) if prompts else {})))  # fmt: skip
    if vocab:
        (folder / "vocab.txt").write_text("\n".join(vocabulary()) + "\n")
    else:
        put("tokenizer.json", tokenizer_json())
    if shards == 1:
        write_safetensors(folder / "model.safetensors", named, dtype)
        return
    names, placed = list(named), {}
    for i in range(shards):
        file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        part = {name: named[name] for name in names[i::shards]}
        placed.update({name: file for name in part})
        write_safetensors(folder / file, part, dtype)
    put("model.safetensors.index.json", dict(metadata=dict(total_size=0), weight_map=placed))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--dtype", default="F32", choices=list(PACK))
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--pooling", default="mean", choices=["mean", "cls", "max"])
    parser.add_argument("--family", default="bert", choices=["bert", "mpnet"])
    parser.add_argument("--prefix", default="")
    parser.add_argument("--vocab", action="store_true")
    parser.add_argument("--prompts", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--variants")
    options = vars(parser.parse_args())
    variants = options.pop("variants")
    if variants is None:
        write(**options)
        return
    for i, variant in enumerate(json.loads(pathlib.Path(variants).read_text())["variants"]):
        write(pathlib.Path(options["folder"]) / str(i), **variant["options"])


if __name__ == "__main__":
    main()
