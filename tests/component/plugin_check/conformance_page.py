# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/plugins/conformance.md: each row comes from the test that has seen it happen. With UPDATE_DOCS=1 that test
writes it, otherwise it insists on it."""
import contextlib
import fcntl
import os
import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parent.parent.parent.parent / "docs" / "plugins" / "conformance.md"
SUITES = ("binary", "contract", "threads", "config", "storage", "auth", "filter")
# Whether this one can be run depends on the machine.
AS_IT_COMES = {"storage.full-disk"}


@contextlib.contextmanager
def table(part):
    """The rows of a table, by their first two cells; written back when they were changed and that is wanted."""
    with PAGE.open("r+" if os.environ.get("UPDATE_DOCS") else "r") as page:
        fcntl.flock(page, fcntl.LOCK_EX)
        text = page.read()
        begin, end = f"<!-- {part}: written by the tests -->\n", f"<!-- end of {part} -->"
        found = re.search(re.escape(begin) + r"(.*?\n\|[-|]+\|\n)(.*?)" + re.escape(end), text, re.DOTALL)
        assert found, f"{PAGE} has no table \"{part}\""
        rows = {}
        for line in found[2].splitlines():
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            rows[key_of(part, cells)] = cells
        yield rows
        lines = "".join("| " + " | ".join(cells) + " |\n" for _, cells in sorted(rows.items()))
        if lines != found[2] and os.environ.get("UPDATE_DOCS"):
            page.seek(0)
            page.write(text[:found.start(2)] + lines + text[found.end(2):])
            page.truncate()


def key_of(part, cells):
    return cells[0] if part == "shipped" else tuple(cells[:2])


def insist(right, what):
    if not right and not os.environ.get("UPDATE_DOCS"):
        raise AssertionError(f"docs/plugins/conformance.md is stale: {what}; UPDATE_DOCS=1 before this test's command writes it")


def shipped(plugin, verdicts):
    """`verdicts`: of whole suites, "ok", "skipped" or "not ok" by "suite.test"."""
    with table("shipped") as rows:
        cells = rows.setdefault(plugin, [plugin] + [""] * len(SUITES))
        for number, suite in enumerate(SUITES, 1):
            mine = {name: verdict for name, verdict in verdicts.items() if name.startswith(suite + ".")}
            if not mine:
                continue
            skipped = sum(verdict == "skipped" and name not in AS_IT_COMES for name, verdict in mine.items())
            said = f"{len(mine) - skipped} passed" + (f", {skipped} skipped" if skipped else "")
            insist(cells[number] == said, f"{plugin}, {suite}: {said}, not \"{cells[number]}\"")
            cells[number] = said


def broken(plugin, fault, test, output):
    """`output`: TAP with one failure, of that test."""
    rule = re.search(r"(?m)^  rule: \|\n((?:    .*\n)+)", output)
    where = re.search(r"(?m)^  where: (\S+?):\d+$", output)
    saw = re.search(r"(?m)^  saw: \|\n    (.*)", output)
    words = " ".join(rule[1].split()) if rule else re.sub(r"after \d+ seconds", "in time", saw[1])
    words = words.partition("; it was asked last: ")[0]  # of several threads, whichever was the last
    words = words.replace("|", "\\|").replace("<", "&lt;")
    cells = [plugin, fault, f"`{test}`", f"{words} ({where[1]})" if rule else words]
    with table("broken") as rows:
        insist(rows.get((plugin, fault)) == cells, f"{plugin} with {fault}: {cells}, not {rows.get((plugin, fault))}")
        rows[plugin, fault] = cells


def all_broken(plugin, faults):
    """These are all the faults that this plugin has."""
    with table("broken") as rows:
        gone = [key for key in rows if key[0] == plugin and key[1] not in faults]
        insist(not gone, f"{gone} are no more")
        for key in gone:
            del rows[key]
