#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the ABI probe and compares today's facts with the lock of each declared major; before the first declaration it
prints them. Checks besides that a frozen copy of the headers is still what was declared, and that the lock notices a break.
Skipped (77) without abidw."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).resolve().parent
include = here.parent / "include"


def lock_of(include_dir, *more):
    """abi_lock.py on the headers of a folder. The probe names the types that these headers have."""
    with tempfile.TemporaryDirectory() as folder:
        source = (here / "abi_probe.c").read_text()
        known = "".join(path.read_text() for path in sorted(pathlib.Path(include_dir, "hedwig").glob("*.h")))
        source = re.sub(r"(?m)^PROBE\((\w+)\);\n", lambda one: one[0] if re.search(rf"\b{one[1]}\b", known) else "", source)
        probe = pathlib.Path(folder) / "probe"
        probe.with_suffix(".c").write_text(source)
        subprocess.run(["gcc", "-std=c99", "-g", "-fPIC", "-shared", "-fvisibility=hidden", f"-I{include_dir}",
                        f"{probe}.c", "-o", f"{probe}.so"], check=True)
        return subprocess.run([sys.executable, "-B", str(here / "abi_lock.py"), f"{probe}.so",
                               f"{include_dir}/hedwig/hedwig.h", *more], capture_output=True, text=True)


def change(tree, file, old, new):
    path = tree / "hedwig" / file
    text = path.read_text()
    assert old in text, f"{file} has no {old!r}"
    path.write_text(text.replace(old, new, 1))


def notices_breaks(saved):
    """Of additions and breaks, the lock tells which is which."""
    for file, old, new, breaks in [
        ("filter.h", "  uint64_t size;\n} hedwig_filter_message;", "  uint64_t size;\n  uint64_t more;\n} hedwig_filter_message;", False),
        ("filter.h", "#define HEDWIG_REJECT 2", "#define HEDWIG_REJECT 9", True),
        ("auth.h", "  hedwig_str peer;", "  hedwig_str inserted;\n  hedwig_str peer;", True),
    ]:
        with tempfile.TemporaryDirectory() as folder:
            tree = pathlib.Path(folder) / "include"
            shutil.copytree(include, tree)
            change(tree, file, old, new)
            answer = lock_of(tree, "--against", str(saved))
            assert (answer.returncode != 0) == breaks, f"{new!r}: {answer.stdout}{answer.stderr}"


def main():
    if not shutil.which("abidw"):
        print("abidw is missing: install abigail-tools")
        return 77
    today = lock_of(include)
    assert today.returncode == 0 and "size hedwig_error = 512" in today.stdout, today.stdout + today.stderr
    for name in re.findall(r"(?m)^size (hedwig_\w+) ", today.stdout):
        assert f"PROBE({name});" in (here / "abi_probe.c").read_text(), f"{name} is missing in abi_probe.c"
    locks = sorted(here.glob("hedwig-*.lock"))
    if not locks:
        print(today.stdout)
    for saved in locks:
        answer = lock_of(include, "--against", str(saved))
        print(answer.stdout + answer.stderr)
        assert answer.returncode == 0, f"today's headers break {saved.name}: plugins that were built would not work"
        newest = max(here.glob(f"{saved.stem.split('-')[1]}.*"), key=lambda one: int(one.name.split(".")[1]))
        frozen = lock_of(newest / "include")
        assert frozen.stdout == saved.read_text(), f"{newest.name}/include is not what {saved.name} says: restore both"
    with tempfile.TemporaryDirectory() as folder:
        saved = pathlib.Path(folder) / "saved.lock"
        saved.write_text(today.stdout)
        notices_breaks(saved)
    return 0


if __name__ == "__main__":
    sys.exit(main())
