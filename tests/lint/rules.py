# SPDX-License-Identifier: MIT
"""The rules. Each takes a tree and yields (path, line, message) for what breaks it.

docs/ARCHITECTURE.md has the reasons; the tables below are what it says of modules and layers.
"""

import re
from collections import defaultdict

from tree import line_of

FLOORS = {
    "base": 0,
    "crypto": 1, "json": 1, "metrics": 1,
    "loop": 2,
    "http": 3, "store": 3,
    "events": 4, "state": 4, "vector": 4, "chroma": 4, "embed": 4, "context": 4, "audit": 4, "inspect": 4,
    "api": 5,
    "app": 6, "ctl": 6,
    "main": 7,  # src/main.c; of floor 6, but it starts app
}  # fmt: skip

# Tables in include/cortex that are not named like their room.
TABLES = {"status": "base", "config": "app"}

# Who may know of a room beside what the floors allow.
ROOM_READERS = {
    "loop": {"http", "embed", "chroma", "inspect", "api", "app", "ctl", "main"},
    "http": {"api", "app", "ctl", "main"},
}

# Vendors' headers, and the rooms that keep them.
FROM_JSON_UP = {room for room, floor in FLOORS.items() if floor > 1 or room == "json"}
VENDORS = {
    "sqlite3": {"store"},
    "curl/": {"loop"},
    "openssl/": {"crypto"},
    "llhttp.h": {"http"},
    "uv.h": {"loop", "http"},
    "uv/": {"loop", "http"},
    "zlib.h": {"base"},
    "utf8proc.h": {"base"},
    "libstemmer": {"embed"},
    "libpq": {"inspect"},
    "jansson.h": FROM_JSON_UP,
}

BANNED = (
    "sprintf vsprintf strcpy strcat gets strtok atoi atol atoll atof alloca system popen rand srand "
    "localtime gmtime ctime asctime tmpnam mktemp signal usleep sleep"
).split()
BANNED_CALL = re.compile(r"(?<![.>\w])(%s)\s*\(" % "|".join(BANNED))

FILE_LINES_MAX = 600
MADE_TABLE = "not to be edited"  # says the head of a table that a program has written
SPDX = re.compile(r"SPDX-License-Identifier: \S+")


def room_of(path):
    """The room that a file belongs to, or None: of src/ROOM/…, src/main.c, include/cortex/ROOM.h."""
    parts = path.split("/")
    if parts[0] == "src" and len(parts) == 3:
        return parts[1]
    if path == "src/main.c":
        return "main"
    if path.startswith("include/cortex/"):
        stem = parts[-1].rsplit(".", 1)[0]
        return TABLES.get(stem, stem)
    return None


def unknown_rooms(tree):
    """Every folder of src and every public header is a room with a floor."""
    for path in tree.c_files("src/", "include/"):
        if room_of(path) not in FLOORS:
            yield path, 1, "belongs to no room that tests/lint/rules.py knows"


def include_direction(tree):
    """A room includes rooms below it by "cortex/X.h" and its own headers, by "Y.h" or "ROOM/Y.h"."""
    for path in tree.c_files("src/", "include/"):
        room = room_of(path)
        if room not in FLOORS:
            continue
        for line, quote, name in tree.includes(path):
            if name.startswith("cortex/"):
                yield from judge_room_include(path, room, line, quote, name)
            elif quote == '"':
                own = name.removeprefix(room + "/")
                beside = path.rsplit("/", 1)[0] + "/" + own
                if not path.startswith("src/") or "/" in own or beside not in tree.files:
                    yield path, line, f'"{name}" is not a header of {room} itself'


def judge_room_include(path, room, line, quote, name):
    other = room_of("include/" + name)
    if quote != '"':
        yield path, line, f"our own <{name}> goes in quotes"
    if other not in FLOORS:
        yield path, line, f"{name} is no room's header"
    elif other == room:
        return
    elif FLOORS[other] >= FLOORS[room]:
        yield path, line, (
            f"{room} (floor {FLOORS[room]}) may not include {other} (floor {FLOORS[other]})"
        )
    elif other in ROOM_READERS and room not in ROOM_READERS[other]:
        yield path, line, f"{room} may not know of {other}"


def vendor_headers(tree):
    """A vendor's header stays in the rooms that keep it, and out of the public headers."""
    for path in tree.c_files("src/", "include/"):
        for line, _, name in tree.includes(path):
            for vendor, rooms in VENDORS.items():
                if not name.startswith(vendor):
                    continue
                if room_of(path) not in rooms:
                    yield path, line, f"<{name}> is for {', '.join(sorted(rooms))} alone"
                elif path.startswith("include/") and name != "jansson.h":
                    yield path, line, f"<{name}> does not belong in a public header"


def banned_functions(tree):
    for path in tree.c_files("src/", "include/"):
        code = tree.code(path)
        for match in BANNED_CALL.finditer(code):
            yield path, line_of(code, match.start(1)), f"{match[1]} is banned"


def typedef_structs(tree):
    """A struct, enum or union is called by its name."""
    for path in tree.c_files("src/", "include/"):
        code = tree.code(path)
        for match in re.finditer(r"\btypedef\s+(struct|enum|union)\b[^;(]*[{;]", code):
            yield path, line_of(code, match.start()), f"a typedef'd {match[1]}"


def spdx_lines(tree):
    for path, text in sorted(tree.files.items()):
        if not any(SPDX.search(line) for line in text.split("\n")[:3]):
            yield path, 1, "no SPDX-License-Identifier in the first three lines"


def file_lengths(tree):
    for path in tree.c_files("src/"):
        count = tree.files[path].count("\n")
        head = tree.files[path][:600]
        if count > FILE_LINES_MAX and MADE_TABLE not in head:
            yield path, FILE_LINES_MAX + 1, f"has {count} lines, more than {FILE_LINES_MAX}"


# ---- Exported functions ----------------------------------------------------------------------------

DEFINE = re.compile(r"^[ \t]*#[ \t]*define\b(?:\\\n|[^\n])*", re.MULTILINE)
TYPEDEF = re.compile(r"\btypedef\b[^;]*;")
DECLARATION = re.compile(r"\b(cx_\w+)\s*\(")


def exported_functions(tree):
    """name → (path, line) of the functions that the public headers declare."""
    found = {}
    for path in tree.c_files("include/cortex/"):
        code = tree.code(path)
        for pattern in (DEFINE, TYPEDEF):
            code = pattern.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), code)
        for match in DECLARATION.finditer(code):
            found.setdefault(match[1], (path, line_of(code, match.start())))
    return found


def uses_by_room(tree):
    """room (or "tests") → name → how often it stands there; macros of the public headers as "macro"."""
    uses = defaultdict(lambda: defaultdict(int))
    for path in tree.c_files("src/", "tests/"):
        room = "tests" if path.startswith("tests/") else room_of(path)
        for name, count in tree.names(path).items():
            uses[room][name] += count
    for path in tree.c_files("include/cortex/"):
        for macro in DEFINE.findall(tree.code(path)):
            for name in re.findall(r"\bcx_\w+", macro):
                uses["macro"][name] += 1
    return uses


def existing_rooms(tree):
    return {room_of(path) for path in tree.c_files("src/")}


def judge_exports(tree):
    """(path, line, message, is_fatal) for each exported function that nobody outside asks for."""
    uses = uses_by_room(tree)
    rooms = existing_rooms(tree)
    for name, (path, line) in exported_functions(tree).items():
        own = room_of(path)
        if own not in rooms or any(uses[room].get(name) for room in list(uses) if room != own):
            continue
        count = uses[own].get(name, 0)
        if count == 0:
            yield path, line, f"{name} is declared and nowhere defined", True
        elif count == 1:
            yield path, line, f"{name} is exported and used nowhere", True
        else:
            yield path, line, f"{name} is exported and used only in {own}", False


def unused_exports(tree):
    """An exported function is used by somebody."""
    for path, line, message, is_fatal in judge_exports(tree):
        if is_fatal:
            yield path, line, message


def private_exports(tree):
    """Exported functions that only their own room uses: warnings."""
    for path, line, message, is_fatal in judge_exports(tree):
        if not is_fatal:
            yield path, line, message


# ---- src/CMakeLists.txt ----------------------------------------------------------------------------

ROOM_CALL = re.compile(r"cx_room\(\s*(\w+)([^)]*)\)")
USES_LIST = re.compile(r"\bUSES\b(.*?)(?:\bLINKS\b|$)", re.DOTALL)


def used_rooms(tree):
    """room → other → (path, line) of the first place that needs it: an include or a call."""
    owner = {name: room_of(path) for name, (path, _) in exported_functions(tree).items()}
    needs = defaultdict(dict)
    for path in tree.c_files("src/", "include/"):
        room = room_of(path)
        for line, _, name in tree.includes(path):
            if name.startswith("cortex/"):
                needs[room].setdefault(room_of("include/" + name), (path, line))
        if path.startswith("src/"):
            for name in tree.names(path):
                if name in owner:
                    needs[room].setdefault(owner[name], (path, 1))
    return needs


def cmake_uses(tree):
    """USES of each room in src/CMakeLists.txt is what its includes and calls need."""
    path = "src/CMakeLists.txt"
    text = re.sub(r"#[^\n]*", lambda m: " " * len(m[0]), tree.files.get(path, ""))
    needs = used_rooms(tree)
    listed = set()
    for match in ROOM_CALL.finditer(text):
        room = match[1]
        if room not in existing_rooms(tree):
            continue
        listed.add(room)
        line = line_of(text, match.start())
        uses = USES_LIST.search(match[2])
        stated = set(uses[1].split()) if uses else set()
        needed = {other: place for other, place in needs[room].items() if other != room}
        for other in sorted(stated - set(needed)):
            yield path, line, f"{room} USES {other} and does not need it"
        for other in sorted(set(needed) - stated):
            where = "{}:{}".format(*needed[other])
            yield path, line, f"{room} needs {other} ({where}) and does not say so in USES"
    for room in sorted(existing_rooms(tree) & set(FLOORS) - listed - {"main", "ctl"}):
        yield path, 1, f"no cx_room({room} …)"


# ---- routes.c and docs/openapi.yaml ----------------------------------------------------------------

ROUTE_ROW = re.compile(
    r'^\s*\{\s*"([A-Z]+)",\s*"(/[^"]*)"(?:,\s*CX_SCOPE_(\w+),\s*([\w |]+))?', re.MULTILINE
)
PATH_LINE = re.compile(r"^  (/\S*):\s*$")
METHOD_LINE = re.compile(r"^    (get|put|post|delete|patch):\s*$")


def documented_operations(text):
    """(METHOD, path) → line, of a document indented by two."""
    found = {}
    path = None
    for number, line in enumerate(text.splitlines(), 1):
        if match := PATH_LINE.match(line):
            path = match[1]
        elif path and (match := METHOD_LINE.match(line)):
            found[match[1].upper(), path] = number
        elif line and not line.startswith(" "):
            path = None
    return found


def operation_texts(text):
    """(METHOD, path) → what the document says below it."""
    lines = text.splitlines()
    found = {}
    for operation, first in documented_operations(text).items():
        last = first
        while last < len(lines) and (not lines[last] or lines[last].startswith("     ")):
            last += 1
        found[operation] = "\n".join(lines[first:last])
    return found


def routes_as_documented(tree):
    """The document says of every route which scope and whether a body it takes, as routes.c does."""
    source, document = "src/api/routes.c", "docs/openapi.yaml"
    texts = operation_texts(tree.files.get(document, ""))
    rows = {}
    routes = tree.files.get(source, "")
    for match in ROUTE_ROW.finditer(routes):
        method, path, scope, flags = match.groups()
        if scope and (method, path) in texts:
            row = line_of(routes, match.start(1)), scope.lower(), set()
            line, scope, words = rows.get((method, path), row)
            rows[method, path] = line, scope, words | set(re.findall(r"\w+", flags))
    for (method, path), (line, scope, flags) in rows.items():
        text = texts[method, path]
        said = f"{method} {path}: {document} does not say"
        if scope == "none" and "\n      security: []" not in "\n" + text:
            yield source, line, f"{said} `security: []`"
        if scope != "none" and f"(scope `{scope}`)" not in text:
            yield source, line, f"{said} (scope `{scope}`)"
        if bool(flags & {"BODY", "NDJSON"}) != ("      requestBody:" in text):
            yield source, line, f"{method} {path}: one of {document} and {source} takes a body"
        if "NDJSON" in flags and "          application/x-ndjson:" not in text:
            yield source, line, f"{said} application/x-ndjson"
        if ("OPENAI" in flags) != ("responses/OpenAIError" in text):
            yield source, line, f"{method} {path}: errors in OpenAI's shape, or not"


def routes_documented(tree):
    """Every route stands in docs/openapi.yaml, and the other way round."""
    source, document = "src/api/routes.c", "docs/openapi.yaml"
    text = tree.files.get(source)
    if text is None:
        return
    routed = {(m[1], m[2]): line_of(text, m.start(1)) for m in ROUTE_ROW.finditer(text)}
    documented = documented_operations(tree.files.get(document, ""))
    for operation in sorted(set(routed) - set(documented)):
        yield source, routed[operation], "{} {} is not in {}".format(*operation, document)
    for operation in sorted(set(documented) - set(routed)):
        yield document, documented[operation], "{} {} is no route".format(*operation)


RULES = (
    unknown_rooms,
    include_direction,
    vendor_headers,
    banned_functions,
    typedef_structs,
    spdx_lines,
    file_lengths,
    unused_exports,
    cmake_uses,
    routes_documented,
    routes_as_documented,
)
WARNINGS = (private_exports,)
