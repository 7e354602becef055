# SPDX-License-Identifier: MIT
"""Manual pages to text: a light reading of man(7) and mdoc(7), enough for prose. Macros and escapes
go, headings part the text into sections, tables and equations are left out."""

import re

# Font and small-caps macros of man(7): an alternating one joins its arguments without spaces.
FONTS = {"B", "I", "R", "SM", "SB"}
ALTERNATING = {"BI", "BR", "IB", "IR", "RB", "RI"}
BREAKS = {
    "PP",
    "P",
    "LP",
    "Pp",
    "TP",
    "TQ",
    "IP",
    "HP",
    "RS",
    "RE",
    "It",
    "Bl",
    "El",
    "Bd",
    "Ed",
    "sp",
    "br",
    "UR",
    "UE",
    "MT",
    "ME",
    "D1",
    "Dl",
}
SKIPPED = {"de": "..", "de1": "..", "am": "..", "ig": "..", "TS": ".TE", "EQ": ".EN", "PS": ".PE"}
MDOC = {
    "Nm",
    "Ar",
    "Fl",
    "Op",
    "Oo",
    "Oc",
    "Pa",
    "Xr",
    "Cm",
    "Ev",
    "Ic",
    "Em",
    "Sy",
    "Dq",
    "Sq",
    "Ql",
    "Li",
    "Va",
    "Vt",
    "Fa",
    "Ft",
    "Fn",
    "Fo",
    "Fc",
    "Dv",
    "Er",
    "Ns",
    "Qq",
    "Pq",
    "Po",
    "Pc",
    "No",
    "Nd",
    "Ad",
    "An",
    "Ap",
    "Aq",
    "Ao",
    "Ac",
    "Bq",
    "Bo",
    "Bc",
    "Do",
    "Dc",
    "Qo",
    "Qc",
    "So",
    "Sc",
    "Eo",
    "Ec",
    "In",
    "Lb",
    "Lk",
    "Ms",
    "Mt",
    "Nx",
    "Ox",
    "Fx",
    "Bx",
    "At",
    "St",
    "Sx",
    "Tn",
    "Ux",
    "Cd",
    "Ef",
    "Bf",
    "Brq",
    "Bro",
    "Brc",
    "Dx",
    "Xo",
    "Xc",
    "Qc",
    "Rv",
    "Ex",
}
GLYPHS = {
    "aq": "'",
    "dq": '"',
    "lq": "“",
    "rq": "”",
    "oq": "‘",
    "cq": "’",
    "em": "—",
    "en": "–",
    "bu": "•",
    "hy": "-",
    "rs": "\\",
    "co": "©",
    "rg": "®",
    "tm": "™",
    "ha": "^",
    "ti": "~",
    "ga": "`",
    "mu": "×",
    "->": "→",
    "<-": "←",
    "<=": "≤",
    ">=": "≥",
    "!=": "≠",
    "+-": "±",
    "de": "°",
    "sc": "§",
    "mi": "-",
    "pl": "+",
    "eq": "=",
    "at": "@",
    "sh": "#",
    "Do": "$",
    "sl": "/",
    "ba": "|",
    "br": "|",
    "ul": "_",
    "lB": "[",
    "rB": "]",
    "lC": "{",
    "rC": "}",
    "la": "⟨",
    "ra": "⟩",
    "bv": "|",
    "ss": "ß",
    ":a": "ä",
    ":o": "ö",
    ":u": "ü",
    "'e": "é",
    "`e": "è",
    ",c": "ç",
    "~n": "ñ",
    "oA": "Å",
    "fm": "′",
    "Tm": "™",
    "R": "®",
}
STRINGS = {"lq": "“", "rq": "”", "R": "®", "Tm": "™", "Aq": "'"}

ESCAPE = re.compile(
    r"""\\(?:
        ["#].*$                                   # a comment
      | [fFmM](?:\((..)|\[([^\]]*)\]|.)           # fonts, colours
      | s(?:[+-]?\d|\([+-]?..|[+-]?\[[^\]]*\]|'[^']*')
      | \[([^\]]*)\] | \((..)                      # 3, 4: a glyph by name
      | \*(?:\(([^ ]{2})|\[([^\]]*)\]|(.))        # 5, 6, 7: a string by name
      | [ngkVY](?:[+-]?\((?:..)|[+-]?\[[^\]]*\]|[+-]?.)
      | [hvwlLDbBoNxXZRHSA](?:'[^']*'|.)
      | (.)                                       # 8: the rest
      | $
    )""",
    re.X,
)


def replace_escape(found):
    glyph = found.group(3) or found.group(4)
    if glyph:
        if re.fullmatch(r"u[0-9A-Fa-f]{4,6}", glyph):
            return chr(int(glyph[1:], 16))
        return GLYPHS.get(glyph, "")
    string = found.group(5) or found.group(6) or found.group(7)
    if string:
        return STRINGS.get(string, "")
    other = found.group(8)
    if other in ("-", ".", "/"):
        return "" if other == "/" else other
    return {"e": "\\", "\\": "\\", " ": " ", "~": " ", "0": " ", "'": "'", "`": "`", "t": " "}.get(
        other, ""
    )


def plain(text):
    return ESCAPE.sub(replace_escape, text)


def arguments(text):
    """The arguments of a macro: parted by spaces, quoted by double quotes."""
    return [
        quoted.replace('""', '"') if quoted or not bare else bare
        for quoted, bare in re.findall(r'"((?:[^"]|"")*)"?|((?:\\.|[^\s"\\])(?:\\ |\S)*)', text)
    ]


def mdoc_words(words, page):
    """An mdoc line, whose words may be macros themselves."""
    out = []
    glue = False
    for at, word in enumerate(words):
        if word in MDOC:
            if word == "Ux":
                out.append("UNIX")
            elif word == "Fl":
                out.append("-")
                glue = True
            elif word == "Nm" and (at + 1 == len(words) or words[at + 1] in MDOC):
                out.append(page)
            elif word == "Ns" and out:
                glue = True
            elif word in ("Pq", "Po") and at + 1 < len(words):
                out.append("(")
                glue = True
            continue
        word = plain(word)
        closing = word in (".", ",", ";", ":", ")", "]", "?", "!")
        if out and (glue or closing):
            out[-1] += word
        elif word:
            out.append(word)
        glue = word in ("(", "[")
        if word and out[-1].startswith("(") and words[0] in ("Pq",) and at + 1 == len(words):
            out[-1] += ")"
    return " ".join(out)


def cross_reference(words):
    """`.Xr ls 1` is ls(1)."""
    if len(words) > 1 and re.fullmatch(r"\d\w*", words[1]):
        return f"{words[0]}({words[1]}){''.join(words[2:])}"
    return " ".join(words)


class Reader:
    """Collects (heading, [paragraph]) pairs from the lines of a page."""

    def __init__(self, page):
        self.page = page
        self.sections = []
        self.words = []
        self.until = None

    def end_paragraph(self):
        text = re.sub(r"\s+", " ", " ".join(self.words)).strip()
        self.words = []
        if text and self.sections:
            self.sections[-1][1].append(text)

    def start_section(self, title):
        self.end_paragraph()
        self.sections.append((re.sub(r"\s+", " ", plain(title)).strip(), []))

    def feed(self, line):
        if self.until is not None:
            if line.strip().startswith(self.until):
                self.until = None
            return
        if not line.startswith((".", "'")):
            if line.strip():
                self.words.append(plain(line))
            else:
                self.end_paragraph()
            return
        found = re.match(r"[.'][ \t]*(\S*)[ \t]*(.*)$", line)
        name, rest = found.groups()
        if name.startswith(('\\"', '"')):
            return
        self.macro(name, rest)

    def macro(self, name, rest):
        if name in SKIPPED:
            self.until = SKIPPED[name]
        elif name in ("if", "ie", "el"):
            # The branch for terminals; blocks lose their braces and are read as they come.
            found = re.match(r"(?:(n|t|\S+)\s+)?(.*)$", rest) if name != "el" else None
            body = found.group(2) if found and found.group(1) == "n" else ""
            if body.startswith((".", "'")):
                self.feed(body)
            elif body and not body.startswith("\\"):
                self.words.append(plain(body))
        elif name in ("SH", "Sh"):
            self.start_section(" ".join(arguments(rest)) if name == "SH" else plain(rest))
        elif name in ("SS", "Ss"):
            self.end_paragraph()
            if rest:
                self.words.append(plain(" ".join(arguments(rest))) + ":")
                self.end_paragraph()
        elif name in BREAKS:
            self.end_paragraph()
            if name == "IP":
                self.words.extend(
                    plain(word) for word in arguments(rest)[:1] if re.search(r"\w", plain(word))
                )
            elif name in ("It", "D1", "Dl"):
                self.words.append(mdoc_words(arguments(rest), self.page))
        elif name in FONTS:
            self.words.append(" ".join(plain(word) for word in arguments(rest)))
        elif name in ALTERNATING:
            self.words.append("".join(plain(word) for word in arguments(rest)))
        elif name == "Xr":
            self.words.append(plain(cross_reference(arguments(rest))))
        elif name == "Nd":
            self.words.append("- " + plain(rest))
        elif name in MDOC:
            self.words.append(mdoc_words([name, *arguments(rest)], self.page))


def read_page(text, page):
    """[(heading, [paragraph])] of a page's roff; empty for one that only includes another."""
    reader = Reader(page)
    text = re.sub(r"\\\n", "", text)
    for line in text.split("\n"):
        if line.startswith(".so "):
            return []
        reader.feed(line)
    reader.end_paragraph()
    return [(title, paragraphs) for title, paragraphs in reader.sections if paragraphs]
