# SPDX-License-Identifier: MIT
"""Finds text worth searching on this machine and cuts it into passages of some 80 to 250 words.

The best sources come first: manual pages, package documentation, this project's own docs. Images of
containers are often stripped of those, so that what the compiler and the build tools bring along
(CMake's help, Python's language reference and docstrings, the comments of C headers) stands in for
them. The order is the same on every run and spreads over the pages."""

import ast
import gzip
import hashlib
import itertools
import pathlib
import re
import urllib.parse

from roff import read_page

WORDS_WANTED = 150
WORDS_MOST = 250
WORDS_LEAST = 12
ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE_PASSAGES = 12  # of one page in the first round, so that one long page is not everything
FILE_BYTES = 4 << 20

# Pages that a person is likely to ask about come before the rest, whose
# order is arbitrary but fixed.
FIRST_PACKAGES = (
    "coreutils",
    "bash",
    "findutils",
    "grep",
    "sed",
    "tar",
    "gzip",
    "util-linux",
    "procps",
    "passwd",
    "login",
    "mount",
    "manpages",
    "openssh-client",
    "git-man",
    "curl",
    "apt",
    "dpkg",
    "systemd",
    "cron",
    "iproute2",
    "less",
    "diffutils",
    "make",
    "sudo",
    "mawk",
    "debianutils",
    "hostname",
    "sysvinit-utils",
    "bsdutils",
)
USELESS = (
    "SEE ALSO",
    "AUTHOR",
    "COPYRIGHT",
    "REPORTING BUGS",
    "HISTORY",
    "SYNOPSIS",
    "STANDARDS",
    "CONFORMING",
    "COLOPHON",
    "VERSION",
    "BUGS",
    "AVAILABILITY",
    "LICENSE",
)


class Passage:
    def __init__(self, source, page, heading, number, title, uri, text, **metadata):
        self.source = source
        self.page = page
        self.text = text
        self.title = title
        self.uri = uri
        self.heading = heading
        slug = re.sub(r"[^A-Za-z0-9._+()-]+", "_", f"{page}:{heading}")[:200]
        self.doc_id = f"{source}:{slug}:{number}"
        self.metadata = {"source": source, "page": page, "heading": heading, **metadata}

    def document(self):
        start = " ".join(self.text.split())
        start = start[:180].rsplit(" ", 1)[0] + " …" if len(start) > 180 else start
        return {
            "doc_id": self.doc_id,
            "content": f"{self.title}\n\n{self.text}",
            "uri": self.uri,
            "summary": f"{self.title}: {start}",
            "metadata": self.metadata,
        }


# ---- Text into passages ------------------------------------------------


def clean(text):
    text = text.replace("\r\n", "\n").expandtabs()
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff]", "", text)


def read_text(path):
    with open(path, "rb") as file:
        data = file.read(FILE_BYTES)
    if path.suffix == ".gz":
        data = gzip.decompress(data)[:FILE_BYTES]
    try:
        return clean(data.decode("utf-8"))
    except UnicodeDecodeError:
        return clean(data.decode("latin-1"))


def split_long(paragraph):
    """A paragraph of too many words, cut where sentences end (or, without any, anywhere)."""
    out, words = [], []
    for sentence in re.split(r"(?<=[.!?])\s+", paragraph):
        tokens = sentence.split()
        if words and len(words) + len(tokens) > WORDS_MOST:
            out.append(" ".join(words))
            words = []
        while len(tokens) > WORDS_MOST:
            out.append(" ".join(tokens[:WORDS_MOST]))
            tokens = tokens[WORDS_MOST:]
        words.extend(tokens)
    return out + ([" ".join(words)] if words else [])


def pack(paragraphs):
    """Paragraphs joined until a passage has about the wanted length."""
    out, held, count = [], [], 0
    for paragraph in itertools.chain.from_iterable(
        split_long(p) if len(p.split()) > WORDS_MOST else [p] for p in paragraphs
    ):
        words = len(paragraph.split())
        if held and (count >= WORDS_WANTED or count + words > WORDS_MOST):
            out.append("\n\n".join(held))
            held, count = [], 0
        held.append(paragraph)
        count += words
    if held:
        if out and count < WORDS_LEAST:
            out[-1] += "\n\n" + "\n\n".join(held)
        else:
            out.append("\n\n".join(held))
    return [
        text
        for text in out
        if len(text.split()) >= WORDS_LEAST and len(re.findall(r"[A-Za-z]", text)) * 2 > len(text)
    ]


def paragraphs_of(text):
    return [
        re.sub(r"[ \t]+", " ", part).strip()
        for part in re.split(r"\n[ \t]*\n", text)
        if re.search(r"\w", part)
    ]


def sections_of(text):
    """[(heading, paragraphs)] of Markdown, reStructuredText or plain text."""
    text = re.sub(r"^(\S[^\n]{0,80})\n([=\-~^*#])\2{2,}[ ]*$", r"# \1", text, flags=re.M)
    out = []
    heading, lines = "", []
    for line in text.split("\n"):
        found = re.match(r"#{1,4} +(.+?)[ #]*$", line)
        if found:
            out.append((heading, paragraphs_of("\n".join(lines))))
            heading, lines = found.group(1)[:80], []
        else:
            lines.append(line)
    out.append((heading, paragraphs_of("\n".join(lines))))
    return [(h, p) for h, p in out if p]


def passages_of(source, page, sections, uri, title=None, lead="", **metadata):
    out = []
    for heading, paragraphs in sections:
        for number, text in enumerate(pack(paragraphs), 1):
            where = f"{title or page} {heading}".strip()
            fragment = "#" + urllib.parse.quote(heading) if heading else ""
            out.append(
                Passage(
                    source, page, heading, number, where + lead, uri + fragment, text, **metadata
                )
            )
    return out


def file_uri(path):
    return "file://" + urllib.parse.quote(str(path))


def stable_order(key):
    return hashlib.sha256(key.encode()).hexdigest()


# ---- Sources: each yields the passages of one page after another -------


def first_files():
    """The files of the packages whose documentation is wanted first."""
    found = {}
    for rank, package in enumerate(FIRST_PACKAGES):
        for listing in pathlib.Path("/var/lib/dpkg/info").glob(f"{package}*.list"):
            if listing.name.removesuffix(".list").split(":")[0] == package:
                for line in listing.read_text(encoding="utf-8", errors="replace").split("\n"):
                    found.setdefault(line, rank)
    return found


def manual_pages():
    first = first_files()
    pages = [
        path
        for section in "1578"
        for path in pathlib.Path(f"/usr/share/man/man{section}").glob("*")
        if not path.is_symlink()
    ]
    pages.sort(
        key=lambda path: (first.get(str(path), len(FIRST_PACKAGES)), stable_order(path.name))
    )
    for path in pages:
        found = re.match(r"(.+)\.([1578]\w*)(?:\.gz)?$", path.name)
        if not found:
            continue
        page, section = found.groups()
        try:
            sections = read_page(read_text(path), page)
        except (OSError, EOFError, ValueError):
            continue
        names = [paragraphs for heading, paragraphs in sections if heading.upper() == "NAME"]
        what = names[0][0] if names and names[0] else ""
        found = re.match(r".{0,400}? [-–—]+ (.{3,160})", what)
        lead = f" — {found.group(1)}" if found else ""
        kept = [
            (heading, paragraphs)
            for heading, paragraphs in sections
            if heading.upper() != "NAME" and not heading.upper().startswith(USELESS)
        ]
        passages = passages_of(
            "man", f"{page}({section})", kept, file_uri(path), lead=lead, section=section
        )
        for passage in passages:
            passage.metadata["page"] = page
        yield passages


def text_files(source, paths, name):
    for path in paths:
        try:
            sections = sections_of(read_text(path))
        except (OSError, EOFError, ValueError):
            continue
        yield passages_of(source, name(path), sections, file_uri(path))


def package_documents():
    root = pathlib.Path("/usr/share/doc")
    names = re.compile(r"(README|NEWS|FAQ|HOWTO|TODO|INSTALL|.*\.(txt|md|rst))[^/]*$", re.I)
    paths = [
        path
        for path in root.glob("*/*")
        if path.is_file()
        and not path.is_symlink()
        and names.match(path.name.removesuffix(".gz"))
        and path.suffix not in (".html", ".pdf", ".ps", ".png")
    ]
    paths.sort(key=lambda path: stable_order(str(path)))
    return text_files(
        "doc", paths, lambda path: f"{path.parent.name}/{path.name.removesuffix('.gz')}"
    )


def project_documents():
    paths = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/**/*.txt")])
    return text_files("cortex", paths, lambda path: str(path.relative_to(ROOT)))


def without_rst(text):
    """reStructuredText without the marks that mean nothing to a reader."""
    text = re.sub(
        r"^[ ]*\.\. [\w:-]+::.*$|^[ ]*:[\w-]+:[ ]*\S*$|^[ ]*\.\. _.*$", "", text, flags=re.M
    )
    text = re.sub(r":[\w:-]+:`([^`<]*?)(?: ?<[^>]*>)?`", r"\1", text)
    text = re.sub(r"`([^`]+)`__?", r"\1", text)
    return text.replace("``", "").replace("::\n", ":\n")


def cmake_help():
    paths = [
        path
        for root in pathlib.Path("/usr/share").glob("cmake*/Help")
        for path in root.glob("*/*.rst")
    ]
    paths.sort(key=lambda path: ("command" not in path.parts, stable_order(str(path))))
    for path in paths:
        try:
            sections = sections_of(without_rst(read_text(path)))
        except OSError:
            continue
        sections = [("" if heading == path.stem else heading, text) for heading, text in sections]
        kind = path.parent.name if path.parent.name in ("command", "module", "variable") else ""
        yield passages_of(
            "cmake",
            f"{path.parent.name}/{path.stem}",
            sections,
            file_uri(path),
            title=f"CMake {kind} {path.stem}".replace("  ", " "),
        )


def python_topics():
    for path in sorted(pathlib.Path("/usr/lib").glob("python3*/pydoc_data/topics.py"))[-1:]:
        tree = ast.parse(read_text(path))
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values):
                    if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
                        yield passages_of(
                            "python",
                            str(key.value),
                            sections_of(clean(value.value)),
                            file_uri(path),
                            title=f"Python topic: {key.value}",
                        )


def python_docstrings():
    paths = [
        path
        for root in sorted(pathlib.Path("/usr/lib").glob("python3*"))[-1:]
        for path in root.rglob("*.py")
        if "test" not in path.parts
        and "tests" not in path.parts
        and "-packages" not in str(path)
        and path.name != "topics.py"
    ]
    paths.sort(key=lambda path: stable_order(str(path)))
    for path in paths:
        module = path.stem if path.stem != "__init__" else path.parent.name
        try:
            tree = ast.parse(read_text(path))
        except (OSError, SyntaxError, ValueError):
            continue
        sections = []
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                text = ast.get_docstring(node)
                if text and len(text.split()) >= 25:
                    sections.append((getattr(node, "name", ""), paragraphs_of(clean(text))))
        yield passages_of(
            "python-library", module, sections, file_uri(path), title=f"Python module {module}"
        )


def header_comments():
    root = pathlib.Path("/usr/include")
    first = ("sqlite3.h", "uv.h", "curl/curl.h", "zlib.h", "jansson.h")
    paths = sorted(
        [*root.glob("*.h"), *root.glob("*/*.h")],
        key=lambda path: (str(path.relative_to(root)) not in first, stable_order(str(path))),
    )
    for path in paths:
        try:
            text = read_text(path)
        except OSError:
            continue
        paragraphs = []
        for comment in re.findall(r"/\*(.*?)\*/", text, re.S):
            lines = [re.sub(r"^[ \t]*\*+ ?", "", line) for line in comment.split("\n")]
            comment = "\n".join(lines).strip(" *-=\n")
            if len(comment.split()) >= 25 and not re.search(
                r"copyright|licen[sc]e|warranty", comment, re.I
            ):
                paragraphs.extend(paragraphs_of(comment))
        yield passages_of(
            "header",
            str(path.relative_to(root)),
            [("", paragraphs)],
            file_uri(path),
            title=f"<{path.relative_to(root)}>",
        )


def licences():
    paths = sorted(
        path
        for path in pathlib.Path("/usr/share/common-licenses").glob("*")
        if path.is_file() and not path.is_symlink()
    )
    return text_files("licence", paths, lambda path: path.name)


def copyrights():
    paths = sorted(pathlib.Path("/usr/share/doc").glob("*/copyright"))
    return text_files("copyright", paths, lambda path: f"{path.parent.name}/copyright")


# Name, what it is for a person, where it lies, its passages, its share of what is loaded. What a
# source does not use goes to those after it: the last ones serve where the first are missing.
SOURCES = (
    ("cortex", "This project's documentation", str(ROOT), project_documents, 1.0),
    ("man", "Manual pages", "/usr/share/man", manual_pages, 0.65),
    ("doc", "Package documentation", "/usr/share/doc", package_documents, 0.6),
    ("python", "Python's language reference", "/usr/lib", python_topics, 0.5),
    ("cmake", "CMake's help", "/usr/share", cmake_help, 0.5),
    ("python-library", "Docstrings of Python's library", "/usr/lib", python_docstrings, 0.6),
    ("header", "Comments of C headers", "/usr/include", header_comments, 1.0),
    ("licence", "Licences", "/usr/share/common-licenses", licences, 1.0),
)


def take(pages, limit, seen):
    """Up to limit passages that were not seen yet, no page giving too many before the others."""
    out, late = [], []
    for passages in pages:
        fresh = []
        for passage in passages:
            digest = hashlib.sha256(" ".join(passage.text.split()).encode()).digest()
            if digest not in seen:
                seen.add(digest)
                fresh.append(passage)
        out.extend(fresh[:PAGE_PASSAGES])
        late.extend(fresh[PAGE_PASSAGES:])
        if len(out) >= limit:
            break
    return (out + late)[:limit]


def collect(limit):
    """{source name: [Passage]}, at most limit passages in all."""
    found, seen, left = {}, set(), limit
    for name, _, _, pages, share in SOURCES:
        found[name] = take(pages(), min(left, max(1, int(left * share))), seen)
        left -= len(found[name])
        if left <= 0:
            break
    if not any(found.values()):
        found["copyright"] = take(copyrights(), limit, seen)
    make_ids_unique(found)
    return found


def make_ids_unique(found):
    used = {}
    for passage in itertools.chain.from_iterable(found.values()):
        count = used[passage.doc_id] = used.get(passage.doc_id, 0) + 1
        if count > 1:
            passage.doc_id += f":{count}"
