#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Declares the ABI of today's headers, MAJOR.MINOR as base.h says: once for each minor, in the commit that makes it.

  sdk/abi/declare.py

Writes sdk/abi/MAJOR.MINOR/include (a copy of the headers), sdk/abi/MAJOR.MINOR/examples (whole plugins as they are written
for it) and sdk/abi/hedwig-MAJOR.lock (every fact of the C headers). From then on sdk_abi_lock fails on any change of the lock
that is no addition, and e2e_frozen_abi builds the plugins from the copy and loads them into today's relay."""
import pathlib
import re
import shutil
import sys

from print_lock import include, lock_of

here = pathlib.Path(__file__).resolve().parent
EXAMPLES = ["filter_invalid_domain.c", "filter_recipient_limit.cpp", "auth_example.cpp", "storage_memory.cpp"]


def main():
    text = (include / "hedwig" / "base.h").read_text()
    major, minor = (re.search(rf"#define HEDWIG_ABI_{name} (\d+)", text)[1] for name in ("MAJOR", "MINOR"))
    frozen = here / f"{major}.{minor}"
    if frozen.exists():
        sys.exit(f"{frozen} is there: ABI {major}.{minor} has been declared; raise HEDWIG_ABI_MINOR in base.h for the next")
    saved = here / f"hedwig-{major}.lock"
    answer = lock_of(include, *(["--against", str(saved)] if saved.exists() else []))
    if answer.returncode != 0:
        sys.exit(answer.stdout + answer.stderr)
    shutil.copytree(include / "hedwig", frozen / "include" / "hedwig", ignore=shutil.ignore_patterns("testing*"))
    (frozen / "examples").mkdir()
    for name in EXAMPLES:
        shutil.copy(here.parent / "examples" / name, frozen / "examples" / name)
    saved.write_text(lock_of(include).stdout)
    print(f"ABI {major}.{minor} is declared: commit {frozen.name}/ and {saved.name}")


if __name__ == "__main__":
    main()
