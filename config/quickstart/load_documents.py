#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Loads the documentation of this machine into a Cortex, as a first thing to search.

    load_documents.py --url http://127.0.0.1:4949 --token-file FILE [--limit 5000] [--ask QUESTION]

Collects real text (collect.py), posts it to /vector/documents in batches, and registers what was
loaded in the state, so that the snapshot tells of it. Loading again is cheap: a document that has
not changed is not embedded again. Needs Python's standard library alone. The token is read from a
file and never stands on a command line.
"""

import argparse
import http.client
import json
import platform
import sys
import time
import urllib.parse

sys.dont_write_bytecode = True
from collect import SOURCES, collect  # noqa: E402

BATCH = 100
ATTEMPTS = 10
WAIT_MOST_SECONDS = 60.0
TIMEOUT_SECONDS = 300.0
FACT_MARK = "Documentation of this machine:"


class Refused(Exception):
    """The service said no, and saying it again would not help."""


class Service:
    """One keep-alive connection to the daemon; asks again where that may help."""

    def __init__(self, url, token):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused(f"{url} is no address such as http://127.0.0.1:4949")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self.connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
        self.prefix = parts.path.rstrip("/")
        self.token = token

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        for attempt in range(ATTEMPTS):
            wait = min(WAIT_MOST_SECONDS, 0.5 * 2**attempt)
            try:
                self.connection.request(method, self.prefix + path, data, headers)
                response = self.connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.connection.close()
                why = f"{type(error).__name__}: {error}"
                if isinstance(error, ConnectionRefusedError) and attempt >= 3:
                    raise Refused(f"nothing listens there ({why})") from None
            else:
                if response.status < 400:
                    return json.loads(answer) if answer else None
                why = explain(response.status, answer)
                if response.status not in (429, 503):
                    raise Refused(f"{method} {path}: {why}")
                wait = retry_after(response, wait)
            if attempt + 1 < ATTEMPTS:
                print(f"\n  {why}; again in {wait:.0f} s", file=sys.stderr, flush=True)
                time.sleep(wait)
        raise Refused(f"{method} {path}: {why}, {ATTEMPTS} times")


def explain(status, answer):
    try:
        problem = json.loads(answer)
        return f"{status} {problem['reason']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{status}: {answer[:200].decode('utf-8', 'replace')}"


def retry_after(response, otherwise):
    try:
        return min(WAIT_MOST_SECONDS, max(0.0, float(response.headers["Retry-After"])))
    except (TypeError, ValueError):
        return otherwise


def post_documents(service, passages):
    """Posts all passages and returns how many were new, changed and known already."""
    counts = {"indexed": 0, "updated": 0, "unchanged": 0}
    began = time.monotonic()
    for at in range(0, len(passages), BATCH):
        batch = passages[at : at + BATCH]
        answer = service.ask(
            "POST", "/vector/documents", {"documents": [passage.document() for passage in batch]}
        )
        for key in counts:
            counts[key] += answer.get(key, 0)
        show_progress(at + len(batch), len(passages), time.monotonic() - began)
    return counts


def show_progress(done, total, seconds):
    line = f"Loading: {done} of {total} passages, {done / max(seconds, 1e-6):.0f} a second"
    if sys.stdout.isatty():
        print(f"\r{line} ", end="\n" if done == total else "", flush=True)
    elif done == total or done % (BATCH * 10) == 0:
        print(line, flush=True)


def register(service, found):
    """Tells the state what was loaded: a resource a source, and facts instead of earlier ones."""
    for name, title, folder, _, _ in SOURCES:
        passages = found.get(name)
        if passages:
            service.ask(
                "PUT",
                f"/state/resources/quickstart-{name}",
                {
                    "id": f"quickstart-{name}",
                    "kind": "documentation",
                    "name": title,
                    "uri": "file://" + urllib.parse.quote(folder),
                    "metadata": {
                        "collection": "default",
                        "passages": len(passages),
                        "pages": len({passage.page for passage in passages}),
                    },
                },
            )
    total = sum(len(passages) for passages in found.values())
    facts = [
        f"{FACT_MARK} {total} passages on {machine_name()} can be searched "
        "with POST /vector/search."
    ]
    for name, title, _, _, _ in SOURCES:
        if found.get(name):
            pages = sorted({passage.page for passage in found[name]})
            facts.append(
                f"{FACT_MARK} {title} gave {len(found[name])} passages of {len(pages)} pages."
            )
    for fact in service.ask("GET", "/state/facts").get("facts", []):
        if fact["text"].startswith(FACT_MARK) and fact["text"] not in facts:
            service.ask("DELETE", f"/state/facts/{urllib.parse.quote(fact['id'], safe='')}")
    for rank, text in enumerate(facts):
        service.ask("POST", "/state/facts", {"text": text, "priority": len(facts) - rank})


def machine_name():
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def show_answer(service, question):
    answer = service.ask("POST", "/vector/search", {"query": question, "top_k": 3})
    print(f"\nAsked: {question}")
    for hit in answer["hits"]:
        summary = (hit["summary"] or hit["doc_id"]).replace("\n", " ")
        print(f"  {hit['score']:.3f}  {summary[:150]}")


def main():
    parser = argparse.ArgumentParser(description="Loads the documentation of this machine.")
    parser.add_argument("--url", default="http://127.0.0.1:4949")
    parser.add_argument("--token-file", required=True, help="a file with the bearer token")
    parser.add_argument("--limit", type=int, default=5000, help="passages at most (5000)")
    parser.add_argument("--ask", metavar="QUESTION", help="search for this at the end")
    parser.add_argument("--list", action="store_true", help="print what would be loaded, and stop")
    options = parser.parse_args()

    print("Collecting text …", flush=True)
    found = collect(max(1, options.limit))
    for name, title, _, _, _ in SOURCES:
        if found.get(name):
            pages = len({passage.page for passage in found[name]})
            print(f"  {title}: {len(found[name])} passages of {pages} pages")
    passages = [passage for group in found.values() for passage in group]
    if options.list:
        for passage in passages:
            print(f"{passage.doc_id}\t{len(passage.text.split())}\t{passage.title}")
        return 0
    if not passages:
        print("There is no text on this machine that could be loaded.")
        return 0

    with open(options.token_file, encoding="utf-8") as file:
        service = Service(options.url, file.read().strip())
    counts = post_documents(service, passages)
    print(
        f"{counts['indexed']} new, {counts['updated']} changed, "
        f"{counts['unchanged']} known already"
    )
    register(service, found)
    if options.ask:
        show_answer(service, options.ask)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Refused, OSError) as failure:
        print(f"\nload_documents.py: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
