#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the ABI probe, prints its lock and checks that the lock notices a break. Skipped (77) without abidw."""
import pathlib
import shutil
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).resolve().parent
include = here.parent / "include"
if not shutil.which("abidw"):
    print("abidw is missing: install abigail-tools")
    sys.exit(77)


def probe(folder, include_dir):
    out = pathlib.Path(folder) / "probe.so"
    subprocess.run(["gcc", "-std=c99", "-g", "-fPIC", "-shared", "-fvisibility=hidden", f"-I{include_dir}",
                    str(here / "abi_probe.c"), "-o", str(out)], check=True)
    return out


def lock(folder, include_dir, *more):
    return subprocess.run([sys.executable, "-B", str(here / "abi_lock.py"), str(probe(folder, include_dir)),
                           f"{include_dir}/hedwig/hedwig.h", *more], capture_output=True, text=True)


def change(tree, file, old, new):
    path = tree / "hedwig" / file
    text = path.read_text()
    assert old in text, f"{file} has no {old!r}"
    path.write_text(text.replace(old, new, 1))


with tempfile.TemporaryDirectory() as folder:
    today = lock(folder, include)
    assert today.returncode == 0 and "size hedwig_error = 512" in today.stdout, today.stdout + today.stderr
    print(today.stdout)
    saved = pathlib.Path(folder) / "saved.lock"
    saved.write_text(today.stdout)
    for file, old, new, breaks in [
        ("filter.h", "  uint64_t size;\n} hedwig_filter_message;", "  uint64_t size;\n  uint64_t more;\n} hedwig_filter_message;", False),
        ("filter.h", "#define HEDWIG_REJECT 2", "#define HEDWIG_REJECT 9", True),
        ("auth.h", "  hedwig_str peer;", "  hedwig_str inserted;\n  hedwig_str peer;", True),
    ]:
        tree = pathlib.Path(folder) / "include"
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(include, tree)
        change(tree, file, old, new)
        answer = lock(folder, tree, "--against", str(saved))
        assert (answer.returncode != 0) == breaks, f"{new!r}: {answer.stdout}{answer.stderr}"
