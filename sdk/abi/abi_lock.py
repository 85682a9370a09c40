#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the ABI as text, one fact per line, or compares it with a saved lock.

  abi_lock.py probe.so INCLUDE_DIR/hedwig/hedwig.h            print
  abi_lock.py probe.so hedwig.h --against hedwig-1.lock

A lock may gain lines, and a growing struct may gain size. Any other difference is
a break. Types come from abidw (libabigail), constants from the preprocessor.
"""
import re
import subprocess
import sys
import xml.etree.ElementTree as xml


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def type_names(root):
    by_id = {e.get("id"): e for e in root.iter() if e.get("id")}

    def name(type_id):
        e = by_id[type_id]
        if e.tag == "pointer-type-def":
            return name(e.get("type-id")) + " *"
        if e.tag == "qualified-type-def":
            return name(e.get("type-id")) + (" const" if e.get("const") == "yes" else "")
        if e.tag == "function-type":
            args = ", ".join(name(p.get("type-id")) for p in e.findall("parameter"))
            return f"{name(e.find('return').get('type-id'))} ({args})"
        if e.tag == "array-type-def":
            return f"{name(e.get('type-id'))}[{e.find('subrange').get('length')}]"
        return e.get("name") or type_id

    return name


def facts(probe, header):
    root = xml.fromstring(run("abidw", "--no-corpus-path", probe))
    name = type_names(root)
    for t in root.iter("typedef-decl"):
        if t.get("name").startswith("hedwig_"):
            yield f"type {t.get('name')} = {name(t.get('type-id'))}"
    for c in root.iter("class-decl"):
        if c.get("is-declaration-only") == "yes" or not c.get("name", "").startswith("hedwig_"):
            continue
        yield f"size {c.get('name')} = {int(c.get('size-in-bits')) // 8}"
        for m in c.findall("data-member"):
            v = m.find("var-decl")
            offset = int(m.get("layout-offset-in-bits")) // 8
            yield f"field {c.get('name')}.{v.get('name')} @{offset} {name(v.get('type-id'))}"
    for line in run("gcc", "-E", "-dM", "-x", "c", header).splitlines():
        m = re.match(r"#define (HEDWIG_[A-Z0-9_]+) (.+)", line)
        if m and not m[1].endswith("_H") and not m[1].endswith("ABI_MINOR"):
            yield f"constant {m[1]} = {m[2]}"


def main():
    now = sorted(set(facts(sys.argv[1], sys.argv[2])))
    if len(sys.argv) == 3:
        print("\n".join(now))
        return 0
    old = open(sys.argv[4]).read().splitlines()
    growing = {f.split()[1].split(".")[0] for f in old if ".struct_size @0 " in f}
    sizes = {f.split()[1]: int(f.split()[3]) for f in now if f.startswith("size ")}
    broken = []
    for fact in set(old) - set(now):
        kind, what, *rest = fact.split()
        grew = kind == "size" and what in growing and sizes.get(what, 0) > int(rest[-1])
        if not grew:
            broken.append(fact)
    for fact in sorted(broken):
        print("BROKEN", fact)
    for fact in sorted(set(now) - set(old)):
        print("new   ", fact)
    return 1 if broken else 0


sys.exit(main())
