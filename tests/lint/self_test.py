# SPDX-License-Identifier: MIT
"""Tests of the rules on made-up trees, so that no rule can pass because it sees nothing.

CASES: rule, files, and what it must find as "path:line", or "path:line part of the message".
"""

import rules
from tree import Tree

BASE_H = "int cx_one(void);\n"
BASE_C = '#include "cortex/base.h"\nint cx_one(void)\n{\n    return 1;\n}\n'

CASES = (
    (rules.unknown_rooms, {"src/base/a.c": "", "include/cortex/status.def": "", "src/main.c": ""}, []),
    (
        rules.unknown_rooms,
        {"src/cellar/a.c": "", "src/base/deep/a.c": "", "include/cortex/cellar.h": ""},
        ["include/cortex/cellar.h:1", "src/base/deep/a.c:1", "src/cellar/a.c:1"],
    ),
    # Down, to oneself and to one's own headers is allowed; main starts app.
    (
        rules.include_direction,
        {
            "src/store/a.c": '#include "cortex/store.h"\n#include "cortex/metrics.h"\n#include "own.h"',
            "src/store/b.c": '#include "store/own.h"',
            "src/store/own.h": '#include "cortex/base.h"\n#include <stdio.h>',
            "src/main.c": '#include "cortex/app.h"',
            "src/embed/a.c": '#include "cortex/loop.h"',
            "include/cortex/http.h": '#include <jansson.h>\n#include "cortex/loop.h"',
            "include/cortex/base.h": '#include "cortex/status.def"',
        },
        [],
    ),
    # Up, sideways, into another room's folder, in brackets, to a header that is nobody's.
    (
        rules.include_direction,
        {
            "src/base/a.c": '\n#include "cortex/json.h"',
            "src/json/a.c": '#include "cortex/crypto.h"',
            "src/store/a.c": '#include "../http/own.h"\n#include "http/own.h"\n#include "none.h"',
            "src/http/own.h": "#include <cortex/base.h>\n# include  \"cortex/cellar.h\"",
            "include/cortex/loop.h": '#include "cortex/store.h"',
            "include/cortex/json.h": '#include "number.h"',
            "src/api/a.c": '/* #include "cortex/app.h" */\n// #include "cortex/app.h"',
        },
        [
            "include/cortex/json.h:1",
            "include/cortex/loop.h:1 loop (floor 2) may not include store (floor 3)",
            "src/base/a.c:2",
            "src/http/own.h:1 quotes",
            "src/http/own.h:2 no room's header",
            "src/json/a.c:1",
            "src/store/a.c:1",
            "src/store/a.c:2",
            "src/store/a.c:3",
        ],
    ),
    # The loop and HTTP are for few, though the floors would allow them.
    (
        rules.include_direction,
        {
            "src/state/a.c": '#include "cortex/loop.h"\n#include "cortex/http.h"',
            "src/api/a.c": '#include "cortex/loop.h"\n#include "cortex/http.h"',
        },
        ["src/state/a.c:1 may not know of loop", "src/state/a.c:2 may not know of http"],
    ),
    (
        rules.vendor_headers,
        {
            "src/store/a.c": "#include <sqlite3.h>",
            "src/loop/a.c": "#include <uv.h>\n#include <curl/curl.h>",
            "src/http/a.c": "#include <uv.h>\n#include <llhttp.h>\n#include <jansson.h>",
            "src/base/a.c": "#include <zlib.h>",
            "src/crypto/a.c": "#include <openssl/evp.h>",
            "include/cortex/json.h": "#include <jansson.h>",
            "tests/unit/store/a.c": "#include <sqlite3.h>",
        },
        [],
    ),
    (
        rules.vendor_headers,
        {
            "src/state/a.c": "#include <sqlite3.h>\n#include <uv.h>\n#include <zlib.h>",
            "src/http/a.c": "#include <curl/multi.h>\n#include <openssl/ssl.h>",
            "src/base/a.c": "#include <jansson.h>",
            "src/metrics/a.c": "#include <jansson.h>",
            "include/cortex/loop.h": "#include <uv.h>",
            "src/loop/a.c": "#include <llhttp.h>",
        },
        [
            "include/cortex/loop.h:1 public header",
            "src/base/a.c:1",
            "src/http/a.c:1",
            "src/http/a.c:2",
            "src/loop/a.c:1",
            "src/metrics/a.c:1",
            "src/state/a.c:1",
            "src/state/a.c:2",
            "src/state/a.c:3",
        ],
    ),
    (
        rules.banned_functions,
        {
            "src/base/a.c": 'snprintf(b, n, "sprintf(x)");\n/* strcpy(a, b) */ x->signal(1); y.sleep(2);\n'
            "cx_rand(); gmtime_r(&t, &tm); my_system(); nanosleep(&t, 0); int rand;\n'\"'; //gets(x)",
            "tests/unit/base/a.c": "sleep(1);",
        },
        [],
    ),
    (
        rules.banned_functions,
        {"src/base/a.c": "".join(f"(void){name} (x);\n" for name in rules.BANNED)},
        [f"src/base/a.c:{i} {name} is banned" for i, name in enumerate(rules.BANNED, 1)],
    ),
    (
        rules.banned_functions,
        {"src/base/a.c": "/*\n*/ \"\\\"\"; '\"'; x = atoi(y); z = !gmtime(&t);"},
        ["src/base/a.c:2 atoi", "src/base/a.c:2 gmtime"],
    ),
    (
        rules.typedef_structs,
        {
            "src/base/a.c": "struct s { int a; };\ntypedef struct s *(*make_fn)(struct s *s);\n"
            "typedef enum cx_status (*cx_work_fn)(void *arg);\n// typedef struct x x;",
            "src/base/b.c": "typedef struct { int a; } s;\ntypedef enum\ne e;\ntypedef struct a {",
        },
        ["src/base/b.c:1", "src/base/b.c:2", "src/base/b.c:4"],
    ),
    (
        rules.spdx_lines,
        {
            "src/base/a.c": "/* SPDX-License-Identifier: MIT */",
            "quickstart": "#!/bin/sh\n# SPDX-License-Identifier: MIT",
        },
        [],
    ),
    (
        rules.spdx_lines,
        {"src/base/a.c": "int x;", "tests/a.py": "\n\n\n# SPDX-License-Identifier: MIT"},
        ["src/base/a.c:1", "tests/a.py:1"],
    ),
    (
        rules.file_lengths,
        {
            "src/base/a.c": "\n" * 600,
            "src/base/b.c": "\n" * 601,
            "src/base/c.c": "/* Made by a program, not to be edited. */" + "\n" * 900,
            "tests/a.c": "\n" * 900,
        },
        ["src/base/b.c:601"],
    ),
    (
        rules.routes_documented,
        {
            "src/api/routes.c": '    { "GET", "/a/{id}", 0 },\n    { "PUT",    "/b", 0 },\n',
            "docs/openapi.yaml": "paths:\n  /a/{id}:\n    get:\n  /c:\n    post:\ncomponents:\n    get:\n",
        },
        ["docs/openapi.yaml:5", "src/api/routes.c:2"],
    ),
    (
        rules.routes_documented,
        {
            "src/api/routes.c": '    { "GET", "/a", 0 },\n',
            "docs/openapi.yaml": "paths:\n  /a:\n    parameters:\n    get:\n",
        },
        [],
    ),
    (
        rules.routes_as_documented,
        {
            "src/api/routes.c": '    { "GET", "/a", CX_SCOPE_NONE, 0, NO_BODY, &a },\n'
            '    { "GET", "/b", CX_SCOPE_STATE, 0, NO_BODY, &b },\n'
            '    { "PUT", "/b", CX_SCOPE_STATE, BODY | OPENAI, GENERAL, &b },\n'
            '    { "POST", "/c", CX_SCOPE_STATE, NDJSON, NO_BODY, &c },\n'
            '    { "GET", "/good", CX_SCOPE_NONE, 0, NO_BODY, &d },\n',
            "docs/openapi.yaml": "paths:\n  /a:\n    get:\n      summary: No token\n"
            "  /b:\n    get:\n      summary: B (scope `vector`)\n"
            "    put:\n      summary: B (scope `state`)\n"
            "  /c:\n    post:\n      summary: C (scope `state`)\n      requestBody:\n"
            "  /good:\n    get:\n      security: []\n",
        },
        [
            "src/api/routes.c:1",
            "src/api/routes.c:2",
            "src/api/routes.c:3",
            "src/api/routes.c:3",
            "src/api/routes.c:4",
        ],
    ),
    # Used by another room, by a test, by a macro, as a pointer; declared for a room still to come.
    (
        rules.unused_exports,
        {
            "include/cortex/base.h": "int cx_one(void);\nvoid *cx_two(int (*cx_cb)(void));\n"
            "#define CX_THREE() \\\n    cx_three()\nint cx_three(void);\nint\ncx_four (void);\n"
            "typedef void (*cx_done_fn)(int);\ntypedef int cx_fun(void);\n",
            "include/cortex/audit.h": "int cx_later(void);\n",
            "src/base/a.c": "int cx_one(void) {}\nvoid *cx_two() {}\nint cx_three() {}\nint cx_four() {}",
            "src/json/a.c": "x = cx_one();",
            "tests/unit/base/a.c": "cx_two(0); call(cx_four);",
        },
        [],
    ),
    (
        rules.unused_exports,
        {
            "include/cortex/base.h": "int cx_one(void);\nint cx_two(void);\nint cx_three(void);\n",
            "src/base/a.c": "int cx_one(void) {}\nint cx_three(void) { cx_three(); }",
            "src/json/a.c": '/* cx_one() */ "cx_two()"; cx_ones();',
        },
        ["include/cortex/base.h:1 used nowhere", "include/cortex/base.h:2 nowhere defined"],
    ),
    (
        rules.private_exports,
        {
            "include/cortex/base.h": "int cx_one(void);\nint cx_two(void);\nint cx_three(void);\n",
            "src/base/a.c": "int cx_one() { cx_two(); cx_three(); }\nint cx_two() {}\nint cx_three() {}",
            "src/app/a.c": "cx_one(); cx_two();",
        },
        ["include/cortex/base.h:3 used only in base"],
    ),
    (
        rules.cmake_uses,
        {
            "include/cortex/base.h": BASE_H,
            "src/base/a.c": BASE_C,
            "src/json/a.c": '#include "cortex/base.h"',
            "include/cortex/loop.h": '#include "cortex/base.h"',
            "src/loop/a.c": '#include "cortex/loop.h"\n#include "cortex/json.h"',
            "src/CMakeLists.txt": "function(cx_room name)\ncx_room(base LINKS z)\ncx_room(json USES base)\n"
            "cx_room(loop USES json\n  base LINKS PkgConfig::UV m)\ncx_room(audit USES json)\n",
        },
        [],
    ),
    # Too many, too few (by a header, by the room's own public header, by a call), none at all.
    (
        rules.cmake_uses,
        {
            "include/cortex/base.h": BASE_H,
            "src/base/a.c": BASE_C,
            "src/json/a.c": "cx_one();",
            "include/cortex/loop.h": '#include "cortex/base.h"',
            "src/loop/a.c": '#include "cortex/loop.h"\n#include "cortex/json.h"',
            "src/store/a.c": "",
            "src/CMakeLists.txt": "cx_room(base USES json LINKS base)\n# cx_room(store)\n"
            "cx_room(json LINKS base)\ncx_room(loop\n  USES metrics)\n",
        },
        [
            "src/CMakeLists.txt:1 base USES json",
            "src/CMakeLists.txt:1 no cx_room(store",
            "src/CMakeLists.txt:3 json needs base (src/json/a.c:1)",
            "src/CMakeLists.txt:4 loop USES metrics",
            "src/CMakeLists.txt:4 loop needs base (include/cortex/loop.h:1)",
            "src/CMakeLists.txt:4 loop needs json (src/loop/a.c:2)",
        ],
    ),
)


def run():
    """Yields (name, None or what is wrong) for each case."""
    for number, (rule, files, wanted) in enumerate(CASES, 1):
        found = [f"{path}:{line} {message}" for path, line, message in rule(Tree(files))]
        left = list(found)
        missing = []
        for want in wanted:
            place, _, part = want.partition(" ")
            hit = next((f for f in left if f.startswith(place + " ") and part in f), None)
            if hit is None:
                missing.append(want)
            else:
                left.remove(hit)
        wrong = "".join(f"\n    did not find {m}" for m in missing)
        wrong += "".join(f"\n    found in vain {m}" for m in left)
        yield f"self-test {number} of {rule.__name__}", wrong or None
    for rule in rules.RULES + rules.WARNINGS:
        finds = [case for case in CASES if case[0] is rule and case[2]]
        spares = [case for case in CASES if case[0] is rule]
        is_tested = bool(finds) and bool(spares)
        yield f"{rule.__name__} has a self-test", None if is_tested else "\n    none that it must find"
