# SPDX-License-Identifier: MIT
"""Reading a case: lines become steps, and what is indented below a line belongs to its step.

Knows the shape of the file and nothing of what a step means.
"""

import re


class CaseError(Exception):
    """An expectation that did not hold, or a case that cannot be understood."""


class Step:
    """One line of a case with the block that is indented below it."""

    def __init__(self, line, text, block):
        self.line = line
        self.text = text
        self.block = block  # [(line number, text without the block's own indentation)]

    def items(self):
        """The block, read as steps of its own."""
        return parse_lines(self.block)


def read_case(path):
    """The title (the first comment) and the steps of a case file."""
    text = path.read_text(encoding="utf-8")
    title = ""
    lines = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("#"):
            words = line.lstrip("# ").rstrip()
            if not title and "SPDX-License-Identifier" not in words:
                title = words
            continue
        lines.append((number, line.rstrip("\r")))
    return title, parse_lines(lines)


def parse_lines(lines):
    steps = []
    for number, line in lines:
        if not line.strip():
            if steps and steps[-1].block:
                steps[-1].block.append((number, ""))
            continue
        if line[0] in " \t":
            if not steps:
                raise CaseError(f"line {number}: indented, with no step above it")
            steps[-1].block.append((number, line))
        else:
            steps.append(Step(number, line.rstrip(), []))
    for step in steps:
        step.block = dedent(step.block)
    return steps


def dedent(block):
    while block and not block[-1][1]:
        block.pop()
    depth = min((len(text) - len(text.lstrip()) for _, text in block if text), default=0)
    return [(number, text[depth:]) for number, text in block]


LITERAL = re.compile(r"""\s*(?:("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')(?:\s*\*\s*(\d+))?)""")


def read_bytes(text):
    r"""Bytes written as literals one after another: "GET / HTTP/1.1\r\n" 'x'*100."""
    out = bytearray()
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = LITERAL.match(text, at)
        if not found:
            raise CaseError(f"no byte literal: {text[at:at + 40]}")
        plain = found.group(1)[1:-1].encode("utf-8").decode("latin-1")
        piece = plain.encode("latin-1").decode("unicode_escape").encode("latin-1")
        out += piece * int(found.group(2) or 1)
        at = found.end()
    return bytes(out)


def expand_names(name):
    """`c[1-3]` is c1, c2 and c3, each with its number; another name is itself."""
    found = re.fullmatch(r"([A-Za-z_]*)\[(\d+)-(\d+)\]", name)
    if not found:
        return [(name, "")]
    stem, first, last = found.group(1), int(found.group(2)), int(found.group(3))
    return [(f"{stem}{n}", str(n)) for n in range(first, last + 1)]
