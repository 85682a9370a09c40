#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The suites for every plugin find nothing in a sound provider, and in each faulty one exactly the fault that is there.

    general_faults_test.py [FAULT...]     only these ("none": the sound one); without: all
    HEDWIG_CHECK_ALL=1                    all four suites for each fault, and not only that of its test and "contract"
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import conformance_page

HERE = pathlib.Path(__file__).resolve().parent
SDK = HERE.parent.parent.parent / "sdk"
BUILD = pathlib.Path(os.environ["HEDWIG_BUILD_DIR"])
SOUND_LINK = ["-Wl,-z,nodelete", "-Wl,-z,relro,-z,now", "-Wl,-z,noexecstack", f"-Wl,--version-script={SDK}/cmake/hedwig_plugin.map"]

# Files made wrongly: what is compiled otherwise, what is linked otherwise, and the one test that is meant for it.
FILES = {
    "no-note": (["-DNO_NOTE"], [], "binary.note"),
    "two-notes": (["-DTWO_NOTES"], [], "binary.note"),
    "note-of-another-version": (["-DNOTE_OF_ANOTHER_VERSION"], [], "binary.table"),
    "exports-more": (["-DEXPORTS_MORE"], [f"-Wl,--version-script={SDK}/cmake/hedwig_plugin.map"], "binary.exports"),
    "no-entry": ([], [f"-Wl,--version-script={SDK}/cmake/hedwig_plugin.map"], "binary.exports"),
    "foreign-symbol": (["-DUSES_FOREIGN_SYMBOL"], [], "binary.symbols"),
    "library-of-the-relay": (["-DUSES_RELAY_LIBRARY"], [], "binary.libraries"),
    "may-be-unloaded": ([], ["-Wl,-z,nodelete"], "binary.nodelete"),
    "no-relro": ([], ["-Wl,-z,relro,-z,now"], "binary.relro"),
    "lazy-binding": ([], ["-Wl,-z,relro,-z,now"], "binary.relro"),
    "writes-its-code": (["-DWRITES_ITS_CODE"], [], "binary.code"),
    "executable-stack": ([], ["-Wl,-z,noexecstack"], "binary.stack"),
    "no-object": ([], [], "binary.file"),
    "cut-short": ([], [], "binary.file"),
}
INSTEAD = {
    "exports-more": [],
    "no-entry": ["-Wl,--version-script=none.map"],
    "library-of-the-relay": ["-L.", "-lcaf_core", "-Wl,-rpath,$ORIGIN"],
    "no-relro": ["-Wl,-z,norelro,-z,now"],
    "lazy-binding": ["-Wl,-z,relro,-z,lazy"],
    "writes-its-code": ["-Wl,-z,notext"],
    "executable-stack": ["-Wl,-z,execstack"],
}
# What the sound file does wrong when it is asked to.
ASKED = {
    "dies-while-loaded": "binary.loads",
    "entry-refuses": "binary.loads",
    "no-provider": "binary.loads",
    "no-summary": "contract.provider",
    "starts-twice": "contract.completes-once",
    "unknown-status": "contract.completes-once",
    "never-starts": "contract.completes-once",
    "does-not-start": "contract.life",
    "entry-changes": "contract.entry",
    "entry-logs": "contract.entry",
    "opens-in-create": "contract.opens-nothing",
    "timer-in-create": "contract.unstarted",
    "unstarted-leaks": "contract.unstarted",
    "refused-create-leaks": "contract.create-refused",
    "silent-start": "contract.start-refused",
    "looks-behind": "contract.older-host",
    "wants-exact-size": "contract.newer-host",
    "needs-timers": "contract.bare-host",
    "any-extension": "contract.extensions",
    "one-instance": "contract.instances",
    "cancels-on-event": "threads.classes",
    "declares-late": "threads.classes",
    "thread-left": "threads.joined",
    "descriptor-left": "threads.descriptors",
    "buffer-left": "threads.buffers",
    "one-at-a-time": "threads.at-once",
    "no-help": "config.schema",
    "bad-default": "config.schema",
    "required-default": "config.schema",
    "text-with-range": "config.schema",
    "key-twice": "config.schema",
    "reads-undeclared": "config.reads",
    "reads-by-another-type": "config.reads",
    "names-no-key": "config.odd",
    "says-nothing": "config.odd",
    "unmarked-secret": "config.secrets",
    "logs-secret": "config.secrets",
    "error-shows-secret": "config.secrets",
    "reloads-changes-only": "config.reload-same",
    "reload-forgets": "config.reload-refused",
    "silent-reload": "config.reload-refused",
}
FAULTS = {**{name: one[2] for name, one in FILES.items()}, **ASKED}
HANGS = {"never-starts", "one-at-a-time"}
SUITES = ("binary", "contract", "threads", "config")
SETTINGS = 'path = "{folder}/file"\npassword = "tell nobody"\nsize = 7\n'


def compiled(folder, name, defines=(), without=(), more=()):
    made = folder / f"auth-{name}.so"
    link = [flag for flag in SOUND_LINK if flag not in without]
    done = subprocess.run(["gcc", "-std=gnu99", "-D_GNU_SOURCE", "-g0", "-O1", "-fPIC", "-fvisibility=hidden", "-pthread", f"-I{SDK}/include",
                           *defines, HERE / "crooked.c", "-shared", *link, *more, "-o", made],
                          capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, f"{name}: {done.stderr}"
    return made


def plugin_of(fault, folder):
    """The file that has it."""
    if fault == "no-object":
        made = folder / "auth-no-object.so"
        made.write_text("no object")
    elif fault == "cut-short":
        made = folder / "auth-cut-short.so"
        whole = (folder / "auth-sound.so").read_bytes()
        made.write_bytes(whole[:len(whole) // 3])
    elif fault in FILES:
        made = compiled(folder, fault, FILES[fault][0], FILES[fault][1], INSTEAD.get(fault, ()))
    else:
        made = folder / "auth-sound.so"
    return made


def run(fault, folder):
    """The verdicts by name, and the whole output."""
    words = [BUILD / "bin/hedwig-plugin-check", plugin_of(fault, folder), "--config", folder / "check.toml", "--short", "--seed", "1"]
    if fault in HANGS:
        words += ["--time-limit", "10"]
    if folder.parent != pathlib.Path("/dev/shm"):
        words += ["--folder", folder]
    suites = {"contract", FAULTS[fault].split(".")[0]} if fault in FAULTS and "HEDWIG_CHECK_ALL" not in os.environ else SUITES
    done = subprocess.run([*words, *(word for suite in suites for word in ("--only", suite + "."))], capture_output=True, text=True,
                          env=dict(os.environ, HEDWIG_FAULT=fault))
    verdicts = {}
    for line in done.stdout.splitlines():
        if found := re.match(r"(ok|not ok) \d+ - ([a-z.-]+):.*?( # SKIP .*)?$", line):
            verdicts[found[2]] = "skipped" if found[3] else found[1]
    assert verdicts, done.stdout + done.stderr
    assert done.returncode == (1 if "not ok" in verdicts.values() else 0), (fault, done.returncode)
    return verdicts, done.stdout


def judge(fault, folder):
    verdicts, output = run(fault, folder)
    failed = [name for name, one in verdicts.items() if one == "not ok"]
    wanted = [FAULTS[fault]] if fault in FAULTS else []
    assert failed == wanted, f"{fault}: {failed} failed instead of {wanted}\n{output}"
    if wanted and fault != "dies-while-loaded":
        assert "where: hedwig/" in output and "rule: |" in output, f"{fault}: no explanation\n{output}"
    if wanted:
        conformance_page.broken("crooked", fault, wanted[0], output)
    else:
        left_out = [name for name, one in verdicts.items() if one == "skipped"]
        assert not left_out, f"{left_out} were skipped\n{output}"
    return f"{fault}: {' '.join(failed) or 'nothing'} failed, as wanted"


def verdict(fault, folder):
    try:
        return True, judge(fault, folder)
    except AssertionError as wrong:
        return False, str(wrong)


def main():
    chosen = sys.argv[1:] or ["none", *FAULTS]
    with tempfile.TemporaryDirectory() as workplace, concurrent.futures.ThreadPoolExecutor(4) as pool:
        folder = pathlib.Path(workplace)
        (folder / "check.toml").write_text(SETTINGS)
        (folder / "none.map").write_text("CROOKED { local: *; };\n")
        (folder / "library.c").write_text("int caf_of_the_relay(void) { return 0; }\n")
        subprocess.run(["gcc", "-shared", "-fPIC", "library.c", "-o", "libcaf_core.so"], cwd=folder, check=True)
        compiled(folder, "sound")
        good = True
        for right, line in pool.map(lambda fault: verdict(fault, folder), chosen):
            print(line, flush=True)
            good = good and right
    if len(sys.argv) == 1:
        conformance_page.all_broken("crooked", FAULTS)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
