# SPDX-License-Identifier: MIT
"""What the rules look at: the files of the tree as text, with comments and strings taken out.

A tree is made of a folder, or of a dictionary in the rules' own tests.
"""

import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

FOLDERS = ("include", "src", "tests", "third_party", "config")
FILES = ("CMakeLists.txt", "quickstart", ".ci/run", "docs/openapi.yaml")
SUFFIXES = (".c", ".h", ".def", ".inc", ".py", ".sh", ".cmake")

TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL
)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">\n]+)[">]', re.MULTILINE)
NAME = re.compile(r"\bcx_\w+")


def is_source(path):
    return path.endswith(SUFFIXES) or path.endswith("CMakeLists.txt") or path in FILES


class Tree:
    def __init__(self, files):
        self.files = files

    @staticmethod
    def read(root):
        root = Path(root)
        paths = [root / name for name in FILES]
        for folder in FOLDERS:
            paths += sorted((root / folder).rglob("*"))
        files = {}
        for path in paths:
            name = path.relative_to(root).as_posix()
            if is_source(name) and path.is_file() and "__pycache__" not in path.parts:
                files[name] = path.read_text(encoding="utf-8", errors="replace")
        return Tree(files)

    def c_files(self, *folders):
        """C files below the folders, in order."""
        return [
            path
            for path in sorted(self.files)
            if path.startswith(folders) and path.endswith((".c", ".h", ".def", ".inc"))
        ]

    def code(self, path):
        """Without comments and strings; every byte that is left stands where it stood."""
        return strip(self.files[path], True)

    def includes(self, path):
        """(line, '"' or '<', name) of every include."""
        text = strip(self.files[path], False)
        return [(line_of(text, m.start(1)), m[1], m[2]) for m in INCLUDE.finditer(text)]

    def names(self, path):
        """How often each cx_ name stands in the code."""
        return count_names(self.code(path))


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


@lru_cache(maxsize=None)
def count_names(code):
    return Counter(NAME.findall(code))


@lru_cache(maxsize=None)
def strip(text, strings_too):
    def blank(match):
        token = match[0]
        if token[0] in "\"'" and not strings_too:
            return token
        return re.sub(r"[^\n]", " ", token)

    return TOKEN.sub(blank, text)
