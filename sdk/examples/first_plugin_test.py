#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the commands of docs/plugins/first-plugin.md as they stand there, with a home folder of their own.

What is put in other words: the port 2525, for one that is free, and the prefix of the installation, which is what the page
says. Commands in blocks marked "sh" are run; the others are only shown."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).resolve().parent
page = here.parent.parent / "docs" / "plugins" / "first-plugin.md"
build = os.environ["HEDWIG_BUILD_DIR"]

# Ends what the page left running, however it ended.
START = 'set -eu\ntrap \'status=$?; kill ${relay:-} 2> /dev/null || true; exit $status\' EXIT\n'


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def commands():
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```$", page.read_text())
    assert len(blocks) > 6, f"{page} has lost its commands"
    if not shutil.which("rustc", path="/usr/bin:/bin"):
        blocks = [block for block in blocks if not block.startswith("rustc ")]
    return blocks


for tool in ("cmake", "swaks", "gcc", "pkg-config"):
    if not shutil.which(tool):
        print(f"{tool} is missing")
        sys.exit(77)

with tempfile.TemporaryDirectory(prefix="hedwig-first-") as home:
    checkout = pathlib.Path(home) / "checkout"
    (checkout / "build").mkdir(parents=True)
    (checkout / "build" / "release").symlink_to(build)
    script = START + "\n".join(f"set +x; echo '--- {number}'; set -x\n{block}" for number, block in enumerate(commands(), 1))
    script = script.replace("127.0.0.1:2525", f"127.0.0.1:{free_port()}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HEDWIG_", "CMAKE_"))}
    environment.update(HOME=home, PATH="/usr/bin:/bin:/usr/sbin:/sbin:" + environment.get("PATH", ""), LC_ALL="C.UTF-8")
    done = subprocess.run(["bash", "-c", script], cwd=checkout, env=environment, text=True, timeout=400,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log = pathlib.Path(home) / "mine.log"
    said = done.stdout + (log.read_text() if log.exists() else "")
    print(said)
    assert done.returncode == 0, f"the page's commands ended with {done.returncode}"
    for wanted in (
            r"100% tests passed, 0 tests failed out of 2",     # its own test and the kit's
            r"(?m)^ok \d+ - contract\.life",                # by hand
            r"550[ -]5\.7\.1 the subject is not welcome here",
            r"(?m)^filter\.mine +org\.example\.filter-mine 0\.1\.0 ",
            r"a message was refused"):
        assert re.search(wanted, said), f"the page promises what nobody saw: {wanted}"
    calls = re.search(r"(?m)^filter\.mine +org\.example\.filter-mine 0\.1\.0 +\S+ +\S+ +(\d+) ", said)
    assert int(calls[1]) > 0, "the relay has not asked the plugin"
