#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hedwig-plugin-check finds nothing in a sound store, and in each faulty one exactly the fault that is there.

    faults_test.py [FAULT...]     only these ("none": the sound store); without: all
    HEDWIG_CHECK_ALL=1            the whole suite for each fault, which takes minutes
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

import conformance_page

BUILD = pathlib.Path(os.environ["HEDWIG_BUILD_DIR"])
PLUGIN = os.environ.get("HEDWIG_FAULTY_STORE", BUILD / "tests/plugins/storage-journal.so")

# What is wrong with the store, and the one test that is meant for it.
FAULTS = {
    "completes-twice": "completes-once",
    "never-completes": "completes-once",
    "unknown-status": "completes-once",
    "corrupts-bodies": "gives-back",
    "ignores-offset": "reads-ranges",
    "cuts-metadata": "metadata-size",
    "ignores-revision": "move-compares",
    "move-loses-metadata": "move-together",
    "remove-ignores-revision": "remove-compares",
    "overwrites-on-retry": "put-retry",
    "leaks-buffers": "buffers",
    "lists-by-id": "list-order",
    "cursor-counts": "list-while-writing",
    "ignores-leases": "claim",
    "leases-by-wall-clock": "lease-clock",
    "wrong-oldest": "stats",
    "drops-slices-after-stage": "stages",
    "keeps-stage-of-failed-put": "stage-consumed",
    "keeps-discarded-stages": "stage-dropped",
    "forgets-on-reopen": "reopen",
    "cuts-large-bodies": "large-bodies",
    "acknowledges-unwritten": "kill",
    "acknowledges-when-full": "no-space",
    "wrong-error-class": "write-error",
    "acknowledges-unsynced": "sync-error",
    "acknowledges-failed-syncs": "sync-error",
    "says-well-when-full": "full-disk",
    "full-store-stuck": "full-disk",
}
# What comes last in the suite: to save time these faults are looked for by the test meant for them and its like only.
LAST = ["kill", "no-space", "write-error", "sync-error", "full-disk", "large-bodies"]
ITS_LIKE = ["no-space", "write-error", "sync-error"]


def in_memory():
    """A folder whose syncs cost nothing, if there is a large one: no fault here is one of the disk's."""
    try:
        room = os.statvfs("/dev/shm")
    except OSError:
        return None
    return "/dev/shm" if room.f_bavail * room.f_frsize > 256 << 20 and os.access("/dev/shm", os.W_OK) else None


def run(fault, folder):
    """The verdicts by name, and the whole output."""
    settings = pathlib.Path(folder, f"{fault}.toml")
    settings.write_text(f'path = "{{folder}}/journal"\nfault = "{fault}"\n')
    junit = pathlib.Path(folder, f"{fault}.xml")
    words = [str(BUILD / "bin/hedwig-plugin-check"), str(PLUGIN), "--suite", "storage", "--config", str(settings), "--short", "--seed", "1",
             "--junit", str(junit)]
    meant = FAULTS.get(fault)
    if fault == "never-completes":
        words += ["--time-limit", "10", "--only", "storage.completes-once"]
    elif meant in LAST and "HEDWIG_CHECK_ALL" not in os.environ:
        for name in {meant, *ITS_LIKE}:
            words += ["--only", f"storage.{name}"]
    if fault not in ("none", "cuts-large-bodies"):
        words += ["--folder", in_memory() or folder]
    done = subprocess.run(words, capture_output=True, text=True)
    verdicts = {}
    for line in done.stdout.splitlines():
        if found := re.match(r"(ok|not ok) \d+ - storage\.([a-z-]+):.*?( # SKIP .*)?$", line):
            verdicts[found[2]] = "skipped" if found[3] else found[1]
    assert verdicts, done.stdout + done.stderr
    check_junit(junit, verdicts)
    assert done.returncode == (1 if "not ok" in verdicts.values() else 0), (fault, done.returncode)
    return verdicts, done.stdout


def check_junit(file, verdicts):
    """It says the same as TAP."""
    root = xml.etree.ElementTree.parse(file).getroot()
    read = {}
    for case in root.iter("testcase"):
        read[case.get("name")] = ("not ok" if case.find("failure") is not None else
                                  "skipped" if case.find("skipped") is not None else "ok")
    assert read == verdicts, (read, verdicts)


def judge(fault, folder):
    verdicts, output = run(fault, folder)
    failed = [name for name, verdict in verdicts.items() if verdict == "not ok"]
    wanted = [FAULTS[fault]] if fault in FAULTS else []
    if wanted == ["full-disk"] and verdicts.get("full-disk") == "skipped" and not failed:
        return f"{fault}: no small file system can be mounted here"
    assert failed == wanted, f"{fault}: {failed} failed instead of {wanted}\n{output}"
    if wanted:
        assert "where: hedwig/" in output and "rule: |" in output, f"{fault}: no explanation\n{output}"
    if wanted:
        conformance_page.broken("storage-journal", fault, f"storage.{wanted[0]}", output)
    else:
        unexpected = [name for name, verdict in verdicts.items() if verdict == "skipped" and name != "full-disk"]
        assert not unexpected, f"{unexpected} were skipped\n{output}"
    return f"{fault}: {' '.join(failed) or 'nothing'} failed, as wanted"


def verdict(fault, folder):
    try:
        return True, judge(fault, folder)
    except AssertionError as wrong:
        return False, str(wrong)


chosen = sys.argv[1:] or ["none", *FAULTS]
with tempfile.TemporaryDirectory() as workplace, concurrent.futures.ThreadPoolExecutor(2) as pool:
    good = True
    for right, line in pool.map(lambda fault: verdict(fault, workplace), chosen):
        print(line, flush=True)
        good = good and right
if not sys.argv[1:]:
    conformance_page.all_broken("storage-journal", FAULTS)
sys.exit(0 if good else 1)
