# SPDX-License-Identifier: MIT
"""A peer of tests/bench/index: hnswlib or usearch over the same files, in one process and on one thread.

    index_peer.py hnswlib|usearch DOCUMENTS QUERIES TRUTH DIMENSION TOP_K BUILD_THREADS

Prints a JSON object a line, as vector_index.c does; rates are of the process's CPU time."""

import json
import sys
import time

import numpy

BREADTHS = (10, 16, 20, 24, 32, 40, 64, 100, 150, 200, 300, 400)
ROUNDS = 3


def resident_mb():
    fields = {}
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(("VmRSS", "RssAnon")):
                fields[line.split(":")[0]] = int(line.split()[1]) / 1024
    return fields["VmRSS"], fields["RssAnon"]


class Hnswlib:
    def __init__(self, dimension, count):
        import hnswlib

        self.index = hnswlib.Index("ip", dimension)
        self.index.init_index(count, M=16, ef_construction=200, random_seed=1)

    def add(self, rows, threads):
        self.index.add_items(rows, num_threads=threads)

    def breadth(self, breadth):
        self.index.set_ef(breadth)

    def ask(self, queries, top_k):
        return self.index.knn_query(queries, top_k, num_threads=1)[0]


class Usearch:
    def __init__(self, dimension, count):
        import usearch.index

        self.index = usearch.index.Index(
            ndim=dimension, metric="ip", dtype="i8", connectivity=16, expansion_add=128
        )
        self.count = 0

    def add(self, rows, threads):
        keys = numpy.arange(self.count, self.count + len(rows))
        self.index.add(keys, rows, threads=threads)
        self.count += len(rows)

    def breadth(self, breadth):
        self.index.expansion_search = breadth

    def ask(self, queries, top_k):
        return self.index.search(queries, top_k, threads=1).keys


def main():
    name, documents, queries, truth, dimension, top_k, threads = sys.argv[1:8]
    dimension, top_k = int(dimension), int(top_k)
    rows = numpy.memmap(documents, numpy.float32, "r").reshape(-1, dimension)
    queries = numpy.fromfile(queries, numpy.float32).reshape(-1, dimension)
    truth = numpy.fromfile(truth, numpy.int32).reshape(-1, top_k)
    numpy.matmul(queries[:1], queries[:1].T)
    base, base_anonymous = resident_mb()
    peer = {"hnswlib": Hnswlib, "usearch": Usearch}[name](dimension, len(rows))
    begun = time.process_time()
    for at in range(0, len(rows), 10000):
        peer.add(numpy.array(rows[at : at + 10000]), int(threads))
    seconds = time.process_time() - begun
    print(json.dumps({"what": "build", "seconds": seconds, "rate": len(rows) / seconds}), flush=True)
    del rows
    for breadth in BREADTHS:
        if breadth < top_k:
            continue
        peer.breadth(breadth)
        best = float("inf")
        for _ in range(ROUNDS):
            begun = time.process_time()
            found = peer.ask(queries, top_k)
            best = min(best, time.process_time() - begun)
        right = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist()))
        print(
            json.dumps(
                {
                    "what": "graph",
                    "parameter": breadth,
                    "recall": right / truth.size,
                    "rate": len(queries) / best,
                }
            ),
            flush=True,
        )
    now, now_anonymous = resident_mb()
    print(
        json.dumps(
            {
                "what": "memory with the graph",
                "resident_mb": now - base,
                "anonymous_mb": now_anonymous - base_anonymous,
            }
        ),
        flush=True,
    )


main()
