#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes what the daemon publishes about itself: publish.py OPENAPI_YAML PAGE_FOLDER OUT_FOLDER.

Writes openapi.json, docs.html (page.html with its style and script put in) and published.c, which holds
both as bytes, plain and compressed, with their validators (src/api/published.h). The page's
Content-Security-Policy names the hashes of its style and script: a browser runs nothing else.
"""

import base64
import gzip
import hashlib
import json
import sys
from pathlib import Path

import yaml

POLICY = (
    "default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


class Loader(yaml.SafeLoader):
    """YAML as OpenAPI means it: JSON's values, and no key twice."""


def unique_mapping(loader, node):
    keys = [loader.construct_object(key) for key, _ in node.value]
    for (key_node, value_node), key in zip(node.value, keys):
        where = f"docs/openapi.yaml:{key_node.start_mark.line + 1}"
        if not isinstance(key, str):
            sys.exit(f"{where}: the key {key!r} is no string")
        if keys.count(key) > 1:
            sys.exit(f"{where}: {key} stands twice")
        # Most likely a comma in a text of a { flow mapping } that nobody has quoted.
        if value_node.tag == "tag:yaml.org,2002:null" and key != "default":
            sys.exit(f"{where}: {key} has no value")
    return loader.construct_mapping(node, deep=True)


Loader.add_constructor("tag:yaml.org,2002:map", unique_mapping)


def page(folder):
    """The bytes of the page and its policy."""
    style = (folder / "page.css").read_text(encoding="utf-8")
    script = (folder / "page.js").read_text(encoding="utf-8")
    if "</script" in script or "</style" in style:
        sys.exit("the page's parts must not end their element")
    html = (folder / "page.html").read_text(encoding="utf-8")
    for mark, text in (("/*STYLE*/", style), ("/*SCRIPT*/", script)):
        if html.count(mark) != 1:
            sys.exit(f"page.html must hold {mark} once")
        html = html.replace(mark, text)
    return html.encode(), POLICY.format(script=source_hash(script), style=source_hash(style))


def source_hash(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def array(name, data):
    rows = (
        ",".join(str(byte) for byte in data[at : at + 32]) for at in range(0, len(data), 32)
    )
    return f"static const unsigned char {name}[] = {{\n" + ",\n".join(rows) + "\n};\n"


def published(name, kind, data, policy):
    packed = gzip.compress(data, 9, mtime=0)
    etag = hashlib.sha256(data).hexdigest()[:32]
    policy = f'"{policy}"' if policy else "NULL"
    return (
        array(f"{name}_plain", data)
        + array(f"{name}_packed", packed)
        + f"const struct api__published api__published_{name} = {{\n"
        f'    .content_type = "{kind}",\n'
        f'    .etag = "W/\\"{etag}\\"",\n'
        f"    .policy = {policy},\n"
        f"    .body = {{ (const char *){name}_plain, sizeof {name}_plain }},\n"
        f"    .gzip = {{ (const char *){name}_packed, sizeof {name}_packed }},\n"
        "};\n"
    )


def main():
    source, folder, out = (Path(argument) for argument in sys.argv[1:4])
    try:
        document = yaml.load(source.read_text(encoding="utf-8"), Loader)
    except yaml.YAMLError as error:
        sys.exit(f"{source}: {error}")
    openapi = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    html, policy = page(folder)
    out.mkdir(parents=True, exist_ok=True)
    (out / "openapi.json").write_bytes(openapi)
    (out / "docs.html").write_bytes(html)
    (out / "published.c").write_text(
        "/* Made by a program, not to be edited: src/api/page/publish.py. */\n"
        '#include "api/published.h"\n\n'
        + published("openapi", "application/json", openapi, None)
        + published("docs", "text/html; charset=utf-8", html, policy),
        encoding="ascii",
    )


if __name__ == "__main__":
    main()
