#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks what a reviewer should not have to: lint.py [ROOT].

Prints FILE:LINE: MESSAGE for each finding and "N passed, N failed" last (rules and their own tests);
exits non-zero when one failed. Needs nothing but Python's standard library. rules.py has the rules.
"""

import sys
from pathlib import Path

import rules
import self_test
from tree import Tree


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2])
    passed = failed = 0
    for name, wrong in self_test.run():
        if wrong is None:
            passed += 1
        else:
            failed += 1
            print(f"{name}: failed{wrong}")

    tree = Tree.read(root)
    if len(tree.c_files("src/base/")) < 2 or not rules.exported_functions(tree):
        failed += 1
        print(f"{root}: there is nothing here to look at")
    for rule in rules.WARNINGS:
        for path, line, message in rule(tree):
            print(f"{path}:{line}: warning: {message}")
    for rule in rules.RULES:
        findings = list(rule(tree))
        for path, line, message in findings:
            print(f"{path}:{line}: {message}")
        if findings:
            failed += 1
            print(f"{rule.__name__}: {len(findings)} found")
        else:
            passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
