# SPDX-License-Identifier: MIT
"""Comparing what came with what was expected. A mismatch raises CaseError and says where."""

import json
import math
import re

from .story import CaseError

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
COMPARISONS = {
    ">": lambda got, want: got > want,
    ">=": lambda got, want: got >= want,
    "<": lambda got, want: got < want,
    "<=": lambda got, want: got <= want,
    "=": lambda got, want: got == want,
    "!=": lambda got, want: got != want,
    "~=": lambda got, want: math.isclose(got, want, rel_tol=1e-4, abs_tol=1e-4),
}


def show(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 400 else text[:400] + " …"


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def match_word(got, word, where):
    """The words in angle brackets that stand for values: <any>, <time>, <~regex>, <>= 5> …"""
    kinds = {
        "any": lambda: True,
        "string": lambda: isinstance(got, str),
        "number": lambda: is_number(got),
        "integer": lambda: is_number(got) and got == int(got),
        "boolean": lambda: isinstance(got, bool),
        "object": lambda: isinstance(got, dict),
        "array": lambda: isinstance(got, list),
        "time": lambda: isinstance(got, str) and re.fullmatch(TIME, got),
        "uuid": lambda: isinstance(got, str) and re.fullmatch(UUID, got),
    }
    if word in kinds:
        ok = kinds[word]()
    elif word.startswith("~="):
        ok = is_number(got) and COMPARISONS["~="](got, float(word[2:]))
    elif word.startswith("~"):
        ok = isinstance(got, str) and re.search(word[1:], got, re.S)
    elif found := re.fullmatch(r"hex (\d+)", word):
        ok = isinstance(got, str) and re.fullmatch(rf"[0-9a-f]{{{found.group(1)}}}", got)
    elif found := re.fullmatch(r"(>=|<=|>|<|!=) ?(-?[\d.e+-]+)", word):
        ok = is_number(got) and COMPARISONS[found.group(1)](got, float(found.group(2)))
    else:
        raise CaseError(f"{where}: no such word: <{word}>")
    if not ok:
        raise CaseError(f"{where}: got {show(got)}, want <{word}>")


def match_json(got, want, where="json", exact=False):
    """want is a subset of got; with exact, objects must have the same keys."""
    if isinstance(want, str) and want.startswith("<") and want.endswith(">"):
        match_word(got, want[1:-1], where)
    elif isinstance(want, dict):
        if not isinstance(got, dict):
            raise CaseError(f"{where}: got {show(got)}, want an object")
        for key, value in want.items():
            if value == "<missing>":
                if key in got:
                    raise CaseError(f"{where}.{key}: got {show(got[key])}, want it missing")
            elif key not in got:
                raise CaseError(f"{where}.{key}: missing; there are {', '.join(got) or 'no keys'}")
            else:
                match_json(got[key], value, f"{where}.{key}", exact)
        extra = set(got) - set(want)
        if exact and extra:
            raise CaseError(f"{where}: has {', '.join(sorted(extra))} besides what is expected")
    elif isinstance(want, list):
        if not isinstance(got, list):
            raise CaseError(f"{where}: got {show(got)}, want an array")
        open_end = bool(want) and want[-1] == "<...>"
        want = want[:-1] if open_end else want
        if len(got) < len(want) or (len(got) > len(want) and not open_end):
            raise CaseError(f"{where}: got {len(got)} elements, want {len(want)}: {show(got)}")
        for at, value in enumerate(want):
            match_json(got[at], value, f"{where}[{at}]", exact)
    elif is_number(want) and is_number(got):
        if got != want:
            raise CaseError(f"{where}: got {show(got)}, want {show(want)}")
    elif type(got) is not type(want) or got != want:
        raise CaseError(f"{where}: got {show(got)}, want {show(want)}")


def match_text(got, operator, want, where):
    if operator == "=":
        if got != want:
            raise CaseError(f"{where}: got {got[:400]!r}, want {want[:400]!r}")
    elif operator == "~":
        if not re.search(want, got, re.S):
            raise CaseError(f"{where}: no match of {want} in {got[-600:]!r}")
    elif operator == "!~":
        if re.search(want, got, re.S):
            raise CaseError(f"{where}: a match of {want} in {got[-600:]!r}")
    else:
        raise CaseError(f"{where}: no such operator: {operator}")


def look_up(value, path):
    """The member of a JSON value at a.b.0.c."""
    for key in path.split("."):
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise CaseError(f"json.{path}: nothing there in {show(value)}") from None
    return value


def canonical(value):
    """RFC 8785 for the values that signed packs hold here: no fractions."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(canonical(k) + ":" + canonical(value[k]) for k in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    if isinstance(value, float) and value == int(value) and abs(value) < 1e21:
        return str(int(value))
    if isinstance(value, float):
        raise CaseError(f"cannot write {value} canonically")
    return json.dumps(value, ensure_ascii=False)


def parse_metrics(text):
    """[(name, {label: value}, number)] of a Prometheus text, refusing what is not one."""
    samples = []
    for line in text.split("\n"):
        if not line or line.startswith(("# HELP ", "# TYPE ")):
            continue
        found = re.fullmatch(r"([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (\S+)", line)
        if not found:
            raise CaseError(f"metrics: not a sample: {line[:200]!r}")
        labels = dict(re.findall(r'([a-z_][a-z0-9_]*)="((?:[^"\\]|\\.)*)"', found.group(2) or ""))
        try:
            number = float(found.group(3).replace("Inf", "inf"))
        except ValueError:
            raise CaseError(f"metrics: no number: {line[:200]!r}") from None
        samples.append((found.group(1), labels, number))
    return samples


def metric_value(samples, name, labels):
    """The sum of the samples with this name that have at least these labels; None without any."""
    found = [
        n
        for sample, has, n in samples
        if sample == name and all(has.get(k) == v for k, v in labels.items())
    ]
    return sum(found) if found else None
