# SPDX-License-Identifier: MIT
"""The benchmarks' own programs in C, built when they are needed: the embedding service of
`upstream.c` and the client of `load.c`. Python would be what is measured."""

import contextlib
import http.client
import json
import os
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


@contextlib.contextmanager
def programs(*names, links=()):
    """A folder with each of these, built by $CC."""
    with tempfile.TemporaryDirectory(prefix="cortex-bench-programs-") as name:
        folder = pathlib.Path(name)
        for program in names:
            subprocess.run(
                [
                    *os.environ.get("CC", "cc").split(),
                    *"-std=c11 -O2 -D_GNU_SOURCE -Wall -Wextra -pthread -o".split(),
                    str(folder / program),
                    str(HERE / f"{program}.c"),
                    "-lm",
                    *links,
                ],
                check=True,
            )
        yield folder


def in_process(program, build, folder):
    """A program that measures parts of the daemon without HTTP, linked with those of a build."""
    rooms = ("vector", "store", "json", "crypto", "metrics", "base")
    subprocess.run(
        [
            *os.environ.get("CC", "cc").split(),
            *"-std=c11 -O2 -D_GNU_SOURCE -Wall -Wextra".split(),
            f"-I{ROOT}/include",
            f"-I{ROOT}/src",
            "-o",
            str(folder / program),
            str(HERE / f"{program}.c"),
            *(f"{build}/src/libcx_{room}.a" for room in rooms),
            *"-lsqlite3 -ljansson -lcrypto -lz -lutf8proc -lm -lpthread".split(),
        ],
        check=True,
    )
    return folder / program


class Upstream:
    """`upstream.c` at work, until it is closed."""

    def __init__(self, folder, dimension=1536):
        self.process = subprocess.Popen(
            [folder / "upstream", "0", str(dimension)], stdout=subprocess.PIPE, text=True
        )
        self.port = int(self.process.stdout.readline())

    def ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def counts(self):
        return self.ask("/counts")

    def reset(self, delay_s):
        self.ask(f"/reset/{round(delay_s * 1e3)}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def load(folder, *words, token="none", **environment):
    """What `load.c` printed."""
    done = subprocess.run(
        [folder / "load", *(str(word) for word in words)],
        env={
            **os.environ,
            "LOAD_TOKEN": token,
            **{f"LOAD_{key.upper()}": str(value) for key, value in environment.items()},
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
