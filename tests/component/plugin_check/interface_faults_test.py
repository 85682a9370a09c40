#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hedwig-plugin-check finds nothing in a sound auth provider and a sound filter, and in each faulty one exactly the fault that is
there.

    interface_faults_test.py SUITE [FAULT...]     only these ("none": the sound one); without: all
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import conformance_page

BUILD = pathlib.Path(os.environ["HEDWIG_BUILD_DIR"])

# What is wrong with the plugin, and the one test that is meant for it.
AUTH = {
    "silent": "questions",
    "completes-twice": "completes-once",
    "never-completes": "completes-once",
    "unknown-status": "completes-once",
    "no-identity": "says-yes",
    "same-identity": "results",
    "empty-group": "results",
    "bad-senders": "results",
    "negative-cache": "results",
    "compares-prefixes": "wrong-password",
    "wrong-is-temporary": "wrong-password",
    "unknown-is-temporary": "unknown-user",
    "blank-is-right": "blank",
    "ignores-authorize-as": "act-for-others",
    "dies-of-length": "long",
    "stops-at-nul": "bytes",
    "expands-stars": "injection",
    "token-prefixes": "wrong-token",
    "looks-up-anybody": "lookup",
    "scram-few-iterations": "scram",
    "scram-no-salt": "scram",
    "scram-wrong-key": "scram",
    "scram-long-key": "scram",
    "scram-for-anybody": "scram-unknown",
    "logs-secrets": "log",
    "quotes-secrets": "log",
    "looks-later": "borrowed",
    "mixes-answers": "many",
    "forgets-cancelled": "cancel",
    "stops-early": "stop",
    "outage-denies": "outage",
}
FILTER = {
    "unclosed": "hooks",
    "completes-twice": "completes-once",
    "never-completes": "completes-once",
    "unknown-status": "completes-once",
    "fails-to-open": "completes-once",
    "unknown-action": "actions",
    "4xx-for-reject": "replies",
    "code-with-accept": "replies",
    "wrong-enhanced-code": "replies",
    "reply-of-two-lines": "replies",
    "early-edits": "edits-at-end",
    "value-of-two-lines": "edits",
    "bad-field-name": "edits",
    "replaces-field-0": "edits",
    "bad-folds": "edits",
    "address-in-brackets": "edits",
    "two-bodies": "edits",
    "unknown-edit": "edits",
    "fails-for-8-bits": "odd-messages",
    "fails-for-null-sender": "odd-envelopes",
    "judges-pieces": "pieces",
    "remembers": "forgets",
    "shares-state": "apart",
    "minds-company": "at-once",
    "dies-in-the-middle": "any-end",
    "leaks-sessions": "freed",
    "keeps-buffers": "buffers",
    "looks-later": "borrowed",
    "forgets-cancelled": "cancel",
    "stops-early": "stop",
}
FAULTS = {"auth": AUTH, "filter": FILTER}
SETTINGS = {"auth": """[check]
users = [{name = "ada", password = "in wonderland", token = "ada's token"}, {name = "bob", password = "lovelace", token = "bob's token"}]
refused_tokens = ["eve's token"]
outage = {reachable = false}
""", "filter": """[check]
messages = [{header = ["Subject: logged"], body = "There is an unwanted word here.\\r\\n"}]
"""}
# Of providers beside the faulty one, by the fault that they are.
PROVIDERS = {"silent", "unclosed"}
# These wait for an answer that never comes.
HANGS = {"never-completes", "forgets-cancelled"}
# What the kit says of what it had asked.
TELLS = {"never-completes": " was not completed within 5 seconds", "dies-of-length": "; it was asked last: verify_password",
         "dies-in-the-middle": "; it was asked last: on_"}


def run(suite, fault, folder):
    """The verdicts by name, and the whole output."""
    settings = pathlib.Path(folder, f"{fault}.toml")
    settings.write_text(f'fault = "{fault}"\n{SETTINGS[suite]}')
    words = [BUILD / "bin/hedwig-plugin-check", BUILD / f"tests/plugins/{suite}-faulty.so", "--suite", suite, "--config", settings,
             "--short", "--seed", "1", "--provider", fault if fault in PROVIDERS else "faulty"]
    if fault in HANGS:
        words += ["--time-limit", "10"]
    done = subprocess.run(words, capture_output=True, text=True)
    verdicts = {}
    for line in done.stdout.splitlines():
        if found := re.match(rf"(ok|not ok) \d+ - {suite}\.([a-z-]+):.*?( # SKIP .*)?$", line):
            verdicts[found[2]] = "skipped" if found[3] else found[1]
    assert verdicts, done.stdout + done.stderr
    assert done.returncode == (1 if "not ok" in verdicts.values() else 0), (fault, done.returncode)
    return verdicts, done.stdout


def judge(suite, fault, folder):
    verdicts, output = run(suite, fault, folder)
    failed = [name for name, verdict in verdicts.items() if verdict == "not ok"]
    wanted = [FAULTS[suite][fault]] if fault in FAULTS[suite] else []
    assert failed == wanted, f"{fault}: {failed} failed instead of {wanted}\n{output}"
    if wanted and not fault.startswith("dies"):
        assert "where: hedwig/" in output and "rule: |" in output, f"{fault}: no explanation\n{output}"
    if fault in TELLS:
        assert TELLS[fault] in output, f"{fault}: it does not say what was asked\n{output}"
    if wanted:
        conformance_page.broken(f"{suite}-faulty", fault, f"{suite}.{wanted[0]}", output)
    else:
        skipped = [name for name, verdict in verdicts.items() if verdict == "skipped"]
        assert not skipped, f"{skipped} were skipped\n{output}"
    return f"{suite}: {fault}: {' '.join(failed) or 'nothing'} failed, as wanted"


def verdict(suite, fault, folder):
    try:
        return True, judge(suite, fault, folder)
    except AssertionError as wrong:
        return False, str(wrong)


interface, *chosen = sys.argv[1:]
with tempfile.TemporaryDirectory() as workplace, concurrent.futures.ThreadPoolExecutor(2) as pool:
    good = True
    for right, line in pool.map(lambda fault: verdict(interface, fault, workplace), chosen or ["none", *FAULTS[interface]]):
        print(line, flush=True)
        good = good and right
if not chosen:
    conformance_page.all_broken(f"{interface}-faulty", FAULTS[interface])
sys.exit(0 if good else 1)
