#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints docs/plugins/reference.md from the C headers, and insists that every public name has its promise.

  reference.py            compare: 1 when the page is not current or a name lacks its promise
  UPDATE_DOCS=1 reference.py    write the page

What a name needs: a struct or a function type a comment; a function besides a thread class ([control], [event], [worker] or
[any]), its own or that of its table or type, and, where it gives a hedwig_status, the errors it gives; a field or a constant a
comment of its own or of its group (the lines around it without a blank one) or of its struct."""
import difflib
import os
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent.parent
include = root / "sdk" / "include" / "hedwig"
page = root / "docs" / "plugins" / "reference.md"

HEADERS = ["base.h", "plugin.h", "config.h", "host.h", "dns.h", "auth.h", "filter.h", "storage.h"]
CLASSES = re.compile(r"\[(control|event|worker|any)\]")
PLUMBING = {"struct_size", "reserved", "reserved2"}  # base.h says what these are

MACHINERY = {"HEDWIG_BEGIN_DECLS", "HEDWIG_END_DECLS", "HEDWIG_CONCAT", "HEDWIG_STATIC_ASSERT"}  # of the headers themselves

lacking = []


def plain(comment):
    """The words of a C comment, one space between them, paragraphs kept."""
    text = re.sub(r"^/\*+|\*+/$", "", comment.strip())
    lines = [re.sub(r"^\s*\*? ?", "", line).rstrip() for line in text.split("\n")]
    return "\n".join(lines).strip()


def flowing(text):
    return re.sub(r"\s+", " ", text).strip()


def cell(text):
    return flowing(text).replace("|", "\\|").replace("<", "&lt;")


def classes_of(*texts):
    for text in texts:
        found = CLASSES.findall(text or "")
        if found:
            return list(dict.fromkeys(found))
    return []


class Lines:
    """Declarations of one brace level, each with the comment before it, the one behind it, and its group."""

    TOKEN = re.compile(r"/\*.*?\*/|#define(?:\\\n|[^\n])*|#[^\n]*|\n[ \t]*\n|[ \t\n]+|[^;/#{}]+|[;{}/]", re.S)

    def __init__(self, text):
        self.items = []  # (kind, text, before, behind, group comment)
        before = group = ""
        current, depth, ended = "", 0, 0
        for match in self.TOKEN.finditer(text):
            token = match[0]
            if depth == 0 and not current.strip():
                if token.startswith("/*"):
                    if ended and "\n" not in text[ended:match.start()]:
                        self.items[-1][3] = plain(token)
                        ended = 0
                        continue
                    title = re.match(r"/\* ---- (.*?) -*\s*\*/$", token, re.S)
                    if title:
                        self.items.append(["section", title[1].rstrip(" -"), "", "", ""])
                        before = group = ""
                    else:
                        before = group = plain(token)
                    continue
                if re.match(r"\n[ \t]*\n", token):
                    before, group, ended = "", "", 0
                    continue
                if token.startswith("#define"):
                    body = re.match(r"#define (\w+)(\([^)]*\))?[ \t]*((?:\\\n|[^\n])*?)(?:/\*(.*))?$", token, re.S)
                    behind = ""
                    if body[4] is not None:
                        # A comment that goes on over the line's end is cut by the token: take it whole.
                        start = match.start() + token.index("/*")
                        behind = plain(text[start:text.index("*/", start) + 2])
                    self.items.append(["define", (body[1], body[2] or "", body[3].strip()), before, behind, group])
                    before, ended = "", 0
                    continue
                if token.startswith("#") or not token.strip():
                    continue
            if token == "{":
                depth += 1
            if token == "}":
                depth -= 1
            current += token
            if token == ";" and depth == 0:
                self.items.append(["declaration", current.strip(), before, "", group])
                current, before, ended = "", "", match.end()


def header(name):
    text = (include / name).read_text()
    text = re.sub(r"/\* SPDX.*?\*/\n", "", text, 1)
    intro = re.match(r"\s*(/\*.*?\*/)", text, re.S)
    body = text[intro.end():]
    body = re.sub(r"(?m)^(#ifndef|#endif|#ifdef|#else|#include|HEDWIG_(BEGIN|END)_DECLS).*$", "", body)
    return plain(intro[1]), Lines(body).items


def function(declaration):
    """(result, name, arguments) of a function pointer or function, or None."""
    flat = flowing(declaration)
    found = re.match(r"(?:typedef )?(.*?)\(\*(\w+)\)\((.*)\);$", flat) or re.match(
        r"(?:HEDWIG_EXPORT )?([\w* ]+?)(\bhedwig_\w+)\((.*)\);$", flat)
    return (found[1].strip(), found[2], found[3]) if found else None


function_types = {}  # name: comment


def judge_function(full, result, comment, *outer):
    if not CLASSES.sub("", comment).strip():
        lacking.append(f"{full}: no promise")
    if not classes_of(comment, *outer):
        lacking.append(f"{full}: no thread class")
    if result == "hedwig_status" and not re.search(r"HEDWIG_E_|HEDWIG_OK|[Ss]tatus", " ".join([comment, *outer])):
        lacking.append(f"{full}: does not say which errors it gives")


def struct(name, body, comment, out, where):
    if not comment:
        lacking.append(f"{where}: {name}: no promise")
    kind = "growing" if re.match(r"\s*uint32_t struct_size;", re.sub(r"/\*.*?\*/", "", body, flags=re.S)) else "frozen"
    out.append(f"\n#### {name}\n")
    out.append(f"*{kind}* {flowing(comment)}\n".replace("* Frozen, ", "* ").replace("* Frozen. ", "* "))
    fields, functions = [], []
    for what, text, before, behind, group in Lines(body).items:
        if what != "declaration":
            continue
        said = flowing(f"{before} {behind}")
        call = function(text)
        if call:
            judge_function(f"{where}: {name}.{call[1]}", call[0], said, comment)
            functions.append((f"{call[0]} `{call[1]}`({call[2]})", classes_of(said, comment), said))
            continue
        found = re.match(r"(.*?)(\w+)((?:\[\w+\])?);$", flowing(text))
        kind_of, field = found[1].strip(), found[2]
        if kind_of in function_types:
            judge_function(f"{where}: {name}.{field}", "void", said or comment, function_types[kind_of], comment)
            functions.append((f"`{field}`: {kind_of}", classes_of(said, function_types[kind_of]), said))
            continue
        if field in PLUMBING or field.startswith("reserved"):
            continue
        if not (said or group or comment):
            lacking.append(f"{where}: {name}.{field}: no promise")
        fields.append((f"`{field}`{found[3]}", kind_of, said or group))
    if fields:
        out.append("| field | type | |\n|---|---|---|")
        out.extend(f"| {field} | {cell(kind_of)} | {cell(said)} |" for field, kind_of, said in fields)
        out.append("")
    if functions:
        out.append("| function | threads | |\n|---|---|---|")
        out.extend(f"| {cell(call)} | {', '.join(threads)} | {cell(CLASSES.sub('', said).rstrip(' ,'))} |"
                   for call, threads, said in functions)
        out.append("")


def write(name):
    intro, items = header(name)
    out = [f"\n\n## hedwig/{name}\n", "```\n" + intro + "\n```\n"]
    table_open = False
    for what, text, before, behind, group in items:
        said = flowing(f"{before} {behind}")
        if what == "define":
            constant, arguments, value = text
            if constant.endswith("_") or constant in MACHINERY or constant.endswith("_H"):
                continue
            if value.startswith('"hedwig.'):
                behind = behind or "id of the interface below"
                said = said or behind
            if not (said or group):
                lacking.append(f"{name}: {constant}: no promise")
            if not table_open or before:
                if before:
                    out.append(f"\n{flowing(before)}\n")
                out.append("\n| constant | value | |\n|---|---|---|")
                table_open = True
            value = "" if arguments or "\n" in value else f"`{value}`" if value else ""
            out.append(f"| `{constant}{arguments}` | {value} | {cell(behind)} |")
            continue
        table_open = False
        if what == "section":
            out.append(f"\n### {text}\n")
            continue
        flat = flowing(text)
        if match := re.match(r"(?:typedef )?struct (\w+)\s*\{(.*)\}\s*\w*;$", text, re.S):
            struct(match[1], match[2], before, out, name)
        elif re.match(r"typedef struct (\w+) \1;$", flat):
            if said:
                out.append(f"\n#### {flat.split()[2]}\n\n*opaque* {said}\n")
        elif match := function(text):
            judge_function(f"{name}: {match[1]}", match[0], before)
            function_types[match[1]] = before
            out.append(f"\n#### {match[1]}\n\n`{flat}`\n\n{flowing(before)}\n")
        elif match := re.match(r"typedef (.*?)(\w+);$", flat):
            if not said and not group:
                lacking.append(f"{name}: {match[2]}: no promise")
            out.append(f"\n#### {match[2]}\n\n`{flat}`\n\n{said}\n")
    return "\n".join(out)


def main():
    made = """# Reference of the SDK

Every public name of the C headers, printed from them by `sdk/docs/reference.py`. *Frozen* structs never change within an ABI
major; *growing* ones begin with `struct_size` and may gain fields at their end. Unless something else is said, sizes are in
bytes, `hedwig_time_ns` and `hedwig_duration_ns` in nanoseconds, texts in UTF-8. Thread classes: *control*, one call at a time for each
instance, on a thread that may wait; *event*, never block; *worker*, blocking is expected; *any*, every thread, concurrently.
"""
    made += "".join(write(name) for name in HEADERS)
    made = re.sub(r"\n{3,}", "\n\n", made).rstrip() + "\n"
    for one in lacking:
        print(one, file=sys.stderr)
    if os.environ.get("UPDATE_DOCS") == "1":
        page.write_text(made)
    elif not page.exists() or page.read_text() != made:
        old = page.read_text() if page.exists() else ""
        sys.stderr.writelines(difflib.unified_diff(old.splitlines(True), made.splitlines(True), "reference.md", "headers"))
        print(f"docs/plugins/reference.md is not current: UPDATE_DOCS=1 {sys.argv[0]}", file=sys.stderr)
        return 1
    return 1 if lacking else 0


sys.exit(main())
