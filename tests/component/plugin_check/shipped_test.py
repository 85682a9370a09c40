#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A plugin of this tree passes the conformance kit, and docs/plugins/conformance.md says how.

    shipped_test.py PLUGIN.so [SUITE...]     all suites that are for it, but for that of stores; or these
"""
import os
import pathlib
import re
import subprocess
import sys

import conformance_page

BUILD = pathlib.Path(os.environ["HEDWIG_BUILD_DIR"])
PLUGINS = pathlib.Path(__file__).resolve().parent.parent.parent.parent / "plugins"

file = pathlib.Path(sys.argv[1])
suites = sys.argv[2:] or [suite for suite in conformance_page.SUITES if suite != "storage"]
words = [BUILD / "bin" / "hedwig-plugin-check", file, "--short", "--seed", "1"]
for suite in suites:
    words += ["--only", suite + "."]
# filter-dnsbl-tag is made in the folder of filter-dnsbl.
settings = next((one for one in (PLUGINS / file.stem / "check.toml", PLUGINS / file.stem.removesuffix("-tag") / "check.toml")
                 if one.exists()), None)
if settings:
    words += ["--config", settings]
done = subprocess.run(words, capture_output=True, text=True)
print(done.stdout + done.stderr)
assert done.returncode == 0, f"it ended with {done.returncode}"
verdicts = {}
for line in done.stdout.splitlines():
    if found := re.match(r"(ok|not ok) \d+ - ([a-z.-]+):.*?( # SKIP .*)?$", line):
        verdicts[found[2]] = "skipped" if found[3] else found[1]
conformance_page.shipped(file.stem, verdicts)
