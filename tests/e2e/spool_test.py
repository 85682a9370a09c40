# SPDX-License-Identifier: Apache-2.0
"""The spool of a relay that is stopped: hedwig spool verify, stats, list, show, export, import, migrate; damaged spools;
spools of Hedwig 0.10."""
import contextlib
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

from hedwig_harness import PATIENCE, PLUGINS, STORES, Case, main, need_root, plain_message, program, wait_for

OTHER = {"rocksdb": "fs", "fs": "rocksdb"}
PAUSED = {"outbound": {"paused": True}}
ULID = "01JZ00000000000000000000"


def text_of(number):
    return f"Body of {number}: " + "\r\n".join(["x" * 70] * 40) + ".\r\n"


def stamp(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def octets_below(folder):
    """Of a folder that somebody writes to: what vanishes meanwhile does not count."""
    size = 0
    for path in folder.rglob("*"):
        if "LOG" not in path.name:
            with contextlib.suppress(FileNotFoundError):
                size += path.lstat().st_size
    return size


class SpoolCase(Case):
    def run_hedwig(self, *arguments, status=0, text=True):
        done = subprocess.run([program("hedwig"), *map(str, arguments)], capture_output=True, text=text,
                              timeout=300 * PATIENCE, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, status, f"{arguments}\n{done.stdout}{done.stderr}")
        return done

    def peak_of(self, *arguments, status=0):
        """KiB that the program had in memory at most."""
        text = self.path("output")
        with open(os.devnull) as nothing, text.open("w") as output:
            process = subprocess.Popen([program("hedwig"), *map(str, arguments)], stdin=nothing, stdout=output, stderr=output)
            _, ended, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(ended)
        self.assertEqual(process.returncode, status, text.read_text())
        return used.ru_maxrss

    def spool(self, relay, *arguments, status=0, text=True):
        return self.run_hedwig("spool", *arguments, "-c", relay.config_path, status=status, text=text)

    def listed(self, relay, *arguments, status=0):
        """Messages by id."""
        answer = json.loads(self.spool(relay, "list", "--json", *arguments, status=status).stdout)
        return {one["id"]: one for one in answer["messages"]}

    def stopped(self, store, count=6, config=None, **kwargs):
        """A relay that took `count` messages, bounced the first and holds the second, and is stopped."""
        relay = self.relay({**PAUSED, **(config or {})}, store=store, **kwargs)
        for number in range(count):
            relay.submit(plain_message(subject=f"number {number}", body=text_of(number)),
                         sender=f"sender{number}@example.test", recipients=[f"to{number}@dest{number % 2}.example"])
        ids = [one["id"] for one in sorted(relay.queue("--limit", "100"), key=lambda one: one["from"])]
        self.assertEqual(len(ids), count)
        relay.admin("queue", "hold", ids[1])
        relay.stop()
        return relay, ids

    def in_tables(self, relay):
        """Starts and stops it once more, so that RocksDB's log becomes tables."""
        relay.start()
        relay.stop()

    def flip(self, path, offset):
        data = bytearray(path.read_bytes())
        data[offset] ^= 0x10
        path.write_bytes(data)

    def files_with(self, relay, text, *endings):
        """(file, offset) of each place of the text in the spool's files."""
        found = []
        for path in sorted(relay.spool.rglob("*")):
            if path.is_file() and path.name.endswith(endings):
                at = path.read_bytes().find(text)
                if at >= 0:
                    found.append((path, at))
        return found

    def snapshot(self, folder):
        return {str(path): path.read_bytes() if path.is_file() else None for path in pathlib.Path(folder).rglob("*")}

    @staticmethod
    def whole(messages):
        """What must survive a copy, of messages as list --json has them."""
        return {key: {name: one.get(name) for name in ("state", "due", "size", "from", "to", "queued_at", "attempts")}
                for key, one in messages.items()}

    def deliver(self, relay, sink, count, changes=None):
        """Lets it deliver to the sink; gives back what came, by subject."""
        relay.write_config({"outbound": {"paused": False}, "routes": [{"domains": ["*"], "to": [sink.next_hop]}],
                            **(changes or {})})
        relay.start()
        got = sink.wait(count, 60, relay)
        return {one.message["Subject"]: one for one in got}


class Commands(SpoolCase):
    def test_a_running_relay_keeps_its_spool_to_itself(self):
        for store in STORES:
            with self.subTest(store=store):
                relay = self.relay(PAUSED, store=store)
                relay.submit()
                for command in (["verify"], ["stats"], ["list"], ["verify", "--set-aside"], ["export", "--all", "--out", self.path("out")],
                                ["import", "/dev/null", "--from", "a@example.test", "--to", "b@example.net"],
                                ["migrate", "--from", store, "--to", OTHER[store], "--to-path", self.path("target")]):
                    done = self.spool(relay, *command, status=2)
                    self.assertIn("hedwig-admin", done.stderr, command)
                self.assertEqual(len(relay.queue()), 1)
                relay.stop()

    def test_verify_stats_list_and_show_of_a_sound_spool_change_nothing(self):
        for store in STORES:
            with self.subTest(store=store):
                relay, ids = self.stopped(store)
                before = self.snapshot(relay.spool)
                self.assertRegex(self.spool(relay, "verify").stdout, r"^6 messages, \d+ octets: 0 damaged: all is well")
                stats = json.loads(self.spool(relay, "stats", "--json").stdout)
                self.assertEqual({name: one["messages"] for name, one in stats["states"].items()},
                                 {"queued": 5, "deferred": 0, "held": 1, "bounced": 0, "quarantined": 0})
                self.assertRegex(self.spool(relay, "stats").stdout, r"(?m)^queued +5 ")
                everything = self.listed(relay)
                self.assertEqual(set(everything), set(ids))
                self.assertEqual(everything[ids[1]]["state"], "held")
                self.assertEqual(everything[ids[2]]["from"], "sender2@example.test")
                self.assertEqual(set(self.listed(relay, "--state", "held")), {ids[1]})
                self.assertEqual(set(self.listed(relay, "--domain", "DEST1.example")), {ids[1], ids[3], ids[5]})
                self.assertEqual(set(self.listed(relay, "--sender", "sender4@example.test")), {ids[4]})
                self.assertEqual(set(self.listed(relay, "--sender", "@example.test")), set(ids))
                self.assertEqual(self.listed(relay, "--older", "1h"), {})
                self.assertEqual(set(self.listed(relay, "--newer", "1h")), set(ids))
                paged, cursor = [], []
                while True:
                    page = json.loads(self.spool(relay, "list", "--json", "--limit", "4", *cursor).stdout)
                    paged += [one["id"] for one in page["messages"]]
                    if not page["cursor"]:
                        break
                    cursor = ["--cursor", page["cursor"]]
                self.assertEqual(sorted(paged), sorted(ids), "each once")
                shown = self.spool(relay, "show", ids[3]).stdout
                for part in ("sender3@example.test", "to3@dest1.example pending", "Subject: number 3", "Received: from "):
                    self.assertIn(part, shown)
                self.assertNotIn("Body of 3", shown)
                body = self.spool(relay, "show", ids[3], "--body", text=False).stdout
                self.assertTrue(body.endswith(b"\r\n\r\n" + text_of(3).encode()), body[-80:])
                self.assertEqual(json.loads(self.spool(relay, "show", "--json", ids[3]).stdout)["to"], ["to3@dest1.example"])
                self.assertEqual(self.snapshot(relay.spool), before)

    def test_the_commands_of_hedwig_0_10_are_understood(self):
        relay, ids = self.stopped("fs")
        for place in (["--spool", relay.spool], ["-c", relay.config_path]):
            self.assertEqual(len(re.findall(r"(?m)^\w{26} ", self.run_hedwig("queue", "list", *place).stdout)), 6)
            self.assertEqual(len(re.findall(r"(?m)^\w{26} ", self.run_hedwig("queue", "list", "--ready", *place).stdout)), 5)
            self.assertEqual(len(re.findall(r"(?m)^\w{26} ", self.run_hedwig("queue", "list", "--deferred", *place).stdout)), 0)
            self.assertIn("sender0@example.test", self.run_hedwig("queue", "show", *place, ids[0]).stdout)
            self.assertRegex(self.run_hedwig("queue", "stats", *place).stdout, r"(?m)^held +1 ")

    def test_the_wrong_user_is_told_whom_to_be(self):
        need_root("changing the user")
        relay, _ = self.stopped("fs", 2)
        relay.write_config({"plugins": {"directories": [str(shutil.copytree(PLUGINS, self.path("plugins")))]}})
        executable = shutil.copy(program("hedwig"), self.path("hedwig"))
        for path in (self.folder, relay.folder, relay.config_path):
            path.chmod(0o755)
        self.assertIn("2 ", self.spool(relay, "stats").stdout)
        for place in (["-c", relay.config_path], ["--spool", relay.spool]):
            done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", executable, "spool", "stats",
                                   *map(str, place)], capture_output=True, text=True, timeout=60 * PATIENCE)
            self.assertEqual(done.returncode, 2)
            self.assertIn("which belongs to user id 0: run it as that user", done.stderr)
        for path in (relay.spool, *relay.spool.rglob("*")):
            os.chown(path, 65534, 65534)
        mail = self.path("mail.eml")
        mail.write_text("Subject: x\n\ntext\n")
        # What root writes the relay could not read.
        arguments = ["import", mail, "--from", "a@example.test", "--to", "b@example.net"]
        self.assertIn("belongs to user id 65534", self.spool(relay, *arguments, status=2).stderr)
        self.assertTrue(all(path.stat().st_uid == 65534 for path in relay.spool.rglob("*")))
        self.assertIn("2 ", self.spool(relay, "stats").stdout)

    def test_a_wrong_command_line_is_told_so(self):
        relay, _ = self.stopped("fs", 2)
        for arguments, word in ((["frobnicate"], "unknown command"), ([], "which command"), (["show"], "which message"),
                                (["show", "xyz"], "message id"), (["list", "--state", "lost"], "--state takes"),
                                (["list", "--limit", "none"], "--limit"), (["stats", "--body"], "does not belong"),
                                (["list", "--older", "soon"], "--older"), (["export", "--all"], "--out"),
                                (["show", "01JZ0000000000000000000000"], "no such message"),
                                (["migrate", "--from", "fs", "--to", "fs"], "the same"),
                                (["migrate", "--from", "fs"], "which stores"),
                                (["list", "--store", "tape"], "tape")):
            self.assertIn(word, self.spool(relay, *arguments, status=2).stderr, arguments)
        self.run_hedwig("spool", "list", "--spool", self.path("absent"), status=2)
        self.assertIn("migrate", self.run_hedwig("spool", "--help").stdout)


class Copies(SpoolCase):
    def test_what_was_exported_can_be_imported_elsewhere(self):
        for store in STORES:
            with self.subTest(store=store):
                relay, ids = self.stopped(store)
                out = self.path("out")
                self.spool(relay, "export", "--all", "--out", out)
                self.assertEqual(sorted(path.name for path in out.iterdir()),
                                 sorted(f"{one}.{ending}" for one in ids for ending in ("eml", "json")))
                body = self.spool(relay, "show", ids[2], "--body", text=False).stdout
                self.assertEqual((out / f"{ids[2]}.eml").read_bytes(), body)
                other = self.relay(PAUSED, store=OTHER[store], start=False)
                other.write_config()
                self.assertIn("6 messages imported", self.spool(other, "import", out).stdout)
                self.assertEqual(self.whole(self.listed(other)), self.whole(self.listed(relay)))
                again = self.spool(other, "import", out).stdout
                self.assertIn("0 messages imported, 6 were there already", again)
                self.assertIn("all is well", self.spool(other, "verify").stdout)
                sink = self.sink()
                got = self.deliver(other, sink, 5)
                self.assertEqual(set(got), {f"number {number}" for number in (0, 2, 3, 4, 5)}, "the held one stays")
                self.assertEqual(got["number 2"].data, body)
                other.stop()

    def test_one_message_alone_and_by_its_readable_part(self):
        relay, ids = self.stopped("rocksdb", 3)
        out = self.path("out")
        self.spool(relay, "export", ids[0], "--out", out)
        envelope = out / f"{ids[0]}.json"
        facts = json.loads(envelope.read_text())
        del facts["metadata"]
        facts |= {"to": ["somebody@else.example", "two@else.example"]}
        envelope.write_text(json.dumps(facts))
        other = self.relay(PAUSED, store="fs", start=False)
        other.write_config()
        self.spool(other, "import", envelope)
        self.assertEqual(self.listed(other)[ids[0]]["to"], ["somebody@else.example", "two@else.example"])

    def test_plain_messages_are_taken_with_an_envelope_from_the_command_line(self):
        for store in STORES:
            with self.subTest(store=store):
                relay = self.relay(PAUSED, store=store, start=False)
                relay.write_config()
                folder = self.path("mail")
                folder.mkdir()
                for number in range(3):
                    (folder / f"{number}.eml").write_bytes(f"From: <a@example.test>\nSubject: plain {number}\n\nLine\n.\nend".encode())
                self.assertIn("no envelope", self.spool(relay, "import", folder, status=2).stderr)
                self.spool(relay, "import", folder, "--from", "a@example.test", "--to", "b@example.net", "--to", "c@example.net")
                large = folder / "large"
                large.write_bytes(b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 64 * 16384 + b"\r\n")
                self.spool(relay, "import", large, "--from", "<>", "--to", "b@example.net", "--state", "held")
                held = self.listed(relay, "--sender", "<>")
                self.assertEqual([one["state"] for one in held.values()], ["held"])
                got = self.deliver(relay, self.sink(), 3)
                self.assertTrue(got["plain 1"].data.endswith(b"\r\n\r\nLine\r\n.\r\nend\r\n"), got["plain 1"].data)
                self.assertEqual(sorted(got["plain 1"].recipients), ["b@example.net", "c@example.net"])
                body = large.read_bytes()
                relay.stop()
                self.assertEqual(self.spool(relay, "show", "--body", *held, text=False).stdout, body)

    def test_a_migration_copies_everything_and_leaves_the_source(self):
        for store in STORES:
            with self.subTest(store=store):
                relay, ids = self.stopped(store)
                before = self.snapshot(relay.spool)
                target = self.relay(PAUSED, store=OTHER[store], start=False)
                target.write_config()
                move = ["migrate", "--from", store, "--to", OTHER[store], "--to-path", target.spool]
                self.assertIn("6 messages", self.spool(relay, *move).stdout)
                self.assertEqual(self.snapshot(relay.spool), before)
                self.assertEqual(self.whole(self.listed(target)), self.whole(self.listed(relay)))
                for one in ids:
                    self.assertEqual(self.spool(target, "show", "--body", one, text=False).stdout,
                                     self.spool(relay, "show", "--body", one, text=False).stdout)
                self.assertIn("holds messages already", self.spool(relay, *move, status=2).stderr)
                self.assertEqual(len(self.deliver(target, self.sink(), 5)), 5)
                target.stop()

    def test_a_migration_that_cannot_begin_retires_nothing(self):
        relay, ids = self.stopped("fs", 2)
        (relay.spool / "format").unlink()
        (relay.spool / "format").mkdir()  # as a disk may fail to give it
        before = self.snapshot(relay.spool)
        done = self.spool(relay, "migrate", "--from", "fs", "--to", "rocksdb", "--retire", status=1)
        self.assertIn("cannot open", done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(self.snapshot(relay.spool), before)

    def test_a_migration_that_was_killed_is_gone_on_with(self):
        for store in STORES:
            with self.subTest(store=store):
                relay = self.relay(PAUSED, store=store, start=False)
                relay.write_config()
                mail = self.path("mail")
                mail.mkdir()
                for number in range(600):
                    (mail / f"{number}.eml").write_bytes(f"Subject: {number}\r\n\r\n{number} {'y' * 4000}\r\n".encode())
                self.spool(relay, "import", mail, "--from", "a@example.test", "--to", "b@example.net")
                target = self.path("target")
                move = ["migrate", "--from", store, "--to", OTHER[store], "--to-path", target]
                running = subprocess.Popen([program("hedwig"), "spool", *map(str, move), "-c", str(relay.config_path)],
                                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

                def some_are_there():
                    return running.poll() is not None or octets_below(target) > 1 << 18

                wait_for(some_are_there, 120, "the first messages in the target", 0.002)
                running.kill()
                self.assertNotEqual(running.wait(), 0, "it was not through")
                self.assertTrue((target / ".migrating").exists())
                half = self.relay({"storage": {"base_path": str(target)}}, store=OTHER[store], start=False).spawn()
                half.ended(expect=1)
                self.assertIn("a migration into this spool was interrupted", half.log_text())
                other, _ = self.stopped("fs", 2)
                self.assertIn("part of another spool", self.spool(other, "migrate", "--from", "fs", "--to", OTHER[store],
                                                                  "--to-path", target, status=2).stderr)
                gone = next(iter(self.listed(relay, "--limit", "1")))
                there = {"rocksdb": [], "fs": list(relay.spool.glob(f"queued/*/{gone}.*"))}[store]
                for path in there:
                    path.unlink()  # as if it had been delivered in between
                expected = 600 - len(there)
                self.assertIn(f"{expected} messages", self.spool(relay, *move).stdout)
                self.assertFalse((target / ".migrating").exists())
                copied = {one["id"]: one for one in json.loads(
                    self.spool(relay, "list", "--json", "--spool", target).stdout)["messages"]}
                self.assertEqual(self.whole(copied), self.whole(self.listed(relay)))
                self.assertIn("all is well", self.spool(relay, "verify", "--spool", target).stdout)


class Damage(SpoolCase):
    def damaged_spool(self, store):
        """A spool in which the body of number 2 and the metadata of number 4, perhaps with neighbours, are damaged."""
        relay, ids = self.stopped(store)
        if store == "rocksdb":
            self.in_tables(relay)
            bodies = self.files_with(relay, b"Body of 2: xxx", ".sst", ".blob")
            records = self.files_with(relay, b"sender4@example.test", ".sst")
        else:
            bodies = self.files_with(relay, b"Body of 2: xxx", ".msg")
            records = [(path, path.read_bytes().rfind(b"sender4@example.test")) for path, _ in
                       self.files_with(relay, b"Body of 4: xxx", ".msg")]
        self.assertEqual((len(bodies), len(records)), (1, 1), (bodies, records))
        self.flip(bodies[0][0], bodies[0][1] + 100)
        self.flip(*records[0])
        return relay, ids

    def test_verify_names_damaged_messages_and_sets_them_aside_when_asked(self):
        for store in STORES:
            with self.subTest(store=store):
                relay, ids = self.damaged_spool(store)
                before = self.snapshot(relay.spool)
                done = self.spool(relay, "verify", status=1)
                named = dict(re.findall(r"(?m)^(\w{26})  (\w+)", done.stdout))
                self.assertLessEqual({ids[2], ids[4]}, set(named), done.stdout)
                self.assertEqual(named[ids[2]], "queued")
                if store == "fs":
                    self.assertEqual(set(named), {ids[2], ids[4]})
                self.assertRegex(done.stdout, rf"(?m)^6 messages, \d+ octets: {len(named)} damaged$")
                as_json = [json.loads(line) for line in self.spool(relay, "verify", "--json", status=1).stdout.splitlines()]
                self.assertEqual({one["id"] for one in as_json}, set(named))
                self.assertTrue(all(one["reason"] for one in as_json))
                self.assertEqual(self.snapshot(relay.spool), before, "only told, nothing moved")
                self.assertEqual(set(self.listed(relay)), set(ids), "a list has them all")
                self.assertIn(f"{len(named)} of them set aside", self.spool(relay, "verify", "--set-aside", status=1).stdout)
                self.assertEqual(set(self.listed(relay, "--state", "quarantined")), set(named))
                self.assertIn(f"0 damaged, {len(named)} set aside before", self.spool(relay, "verify").stdout)
                self.assertIn("damaged", self.spool(relay, "show", ids[4], status=1).stdout)
                out = self.path("out")
                self.spool(relay, "export", "--all", "--out", out, status=1)
                self.assertTrue(all((out / f"{one}.json").exists() for one in ids))
                sound = {0, 2, 3, 4, 5} - {number for number in range(6) if ids[number] in named}
                sink = self.sink()
                got = self.deliver(relay, sink, len(sound))
                self.assertEqual(set(got), {f"number {number}" for number in sound})
                shown = {one["id"]: one for one in relay.queue("--all")}
                self.assertTrue(all(shown[one]["state"] == "quarantined" for one in named), shown)
                self.assertTrue(all("damaged" in shown[one]["last_error"] for one in named), shown)
                relay.stop()

    def test_a_running_relay_quarantines_what_it_finds_damaged_and_delivers_the_rest(self):
        for store in STORES:
            with self.subTest(store=store):
                relay, ids = self.damaged_spool(store)
                named = set(re.findall(r"(?m)^(\w{26})", self.spool(relay, "verify", status=1).stdout))
                due = {one for one in ids if one != ids[1]}
                sink = self.sink()
                relay.write_config({"outbound": {"paused": False}, "routes": [{"domains": ["*"], "to": [sink.next_hop]}]})
                relay.start()
                wait_for(lambda: len(sink.messages) == len(due - named), 60, relay.log_tail, 0.1)
                wait_for(lambda: {one["id"] for one in relay.queue("--state", "quarantined")} >= due & named, 60,
                         lambda: f"{relay.queue('--all')}\n{relay.log_tail()}", 0.1)
                for got in sink.messages:
                    number = int(got.message["Subject"].split()[1])
                    self.assertNotIn(ids[number], named)
                    self.assertTrue(got.data.endswith(text_of(number).encode()))
                self.assertTrue([one for one in relay.events() if one.get("event") in ("message.damaged", "message.unreadable")])
                relay.stop()

    def test_a_damaged_spool_is_migrated_with_what_can_be_read(self):
        for store in STORES:
            with self.subTest(store=store):
                relay, ids = self.damaged_spool(store)
                named = set(re.findall(r"(?m)^(\w{26})", self.spool(relay, "verify", status=1).stdout))
                target = self.path("target")
                self.spool(relay, "migrate", "--from", store, "--to", OTHER[store], "--to-path", target, status=1)
                copied = {one["id"]: one for one in json.loads(
                    self.spool(relay, "list", "--json", "--spool", target).stdout)["messages"]}
                self.assertEqual(set(copied), set(ids))
                self.assertEqual({one for one in copied if copied[one]["state"] == "quarantined"}, named)
                self.assertIn(f"0 damaged, {len(named)} set aside before", self.spool(relay, "verify", "--spool", target).stdout)


class DamagedDatabase(SpoolCase):
    """Files of RocksDB's that are damaged or gone, so that the relay does not start: its mail can be had nevertheless."""

    def two_generations(self):
        relay, ids = self.stopped("rocksdb", count=4)
        self.in_tables(relay)
        relay.start()
        for number in range(4):
            relay.submit(plain_message(subject=f"second {number}", body=text_of(number)), sender=f"second{number}@example.test",
                         recipients=["to@dest.example"])
        relay.stop()
        self.in_tables(relay)
        self.assertEqual(len(self.listed(relay)), 8)
        return relay, ids

    def test_a_lost_table_costs_what_stood_in_it_alone(self):
        relay, ids = self.two_generations()
        records = self.files_with(relay, b"sender2@example.test", ".sst")
        self.assertEqual(len(records), 1)
        records[0][0].unlink()
        relay.spawn()
        relay.ended(timeout=60, expect=1)
        self.assertIn("hedwig spool migrate", relay.log_text(since_start=True))
        before = self.snapshot(relay.spool)
        done = self.spool(relay, "verify", status=1)
        self.assertIn("cannot be read", done.stderr)
        self.assertRegex(done.stdout, r"(?m)^8 messages, \d+ octets: 4 damaged")
        target = self.relay(PAUSED, start=False)
        target.write_config()
        self.spool(relay, "migrate", "--from", "rocksdb", "--to", "rocksdb", "--to-path", target.spool, status=1)
        self.spool(relay, "export", "--all", "--out", self.path("out"), status=1)
        self.assertEqual(self.snapshot(relay.spool), before)
        got = self.deliver(target, self.sink(), 4)
        self.assertEqual(sorted(got), [f"second {number}" for number in range(4)])
        self.assertEqual({one["id"] for one in target.queue("--state", "quarantined")}, set(ids))
        target.stop()

    def test_a_flipped_byte_in_the_log_costs_little_and_never_silently(self):
        relay, _ = self.stopped("rocksdb", count=40)
        log = max(relay.spool.glob("*.log"), key=lambda path: path.stat().st_size)
        self.flip(log, log.stat().st_size // 3)
        relay.spawn()
        relay.ended(timeout=60, expect=1)
        self.assertIn("the write-ahead log is damaged", relay.log_text(since_start=True))
        self.assertIn("hedwig spool migrate", relay.log_text(since_start=True))
        self.assertIn("a part of the store cannot be read", self.spool(relay, "verify", status=1).stdout)
        target = self.relay(PAUSED, store="fs", start=False)
        target.write_config()
        done = self.spool(relay, "migrate", "--from", "rocksdb", "--to", "fs", "--to-path", target.spool, status=1)
        self.assertIn("a part of the source cannot be read", done.stdout)
        self.assertGreaterEqual(len(self.listed(target)), 25)


class ChangedStore(SpoolCase):
    """storage.storage_type changes and the mail stays in the store it was put in."""

    def refused(self, relay, *words):
        relay.spawn()
        relay.ended(timeout=60, expect=1)
        for word in words:
            self.assertIn(word, relay.log_text(since_start=True))

    def test_a_relay_does_not_start_beside_mail_that_it_would_not_see(self):
        for old, new in (("rocksdb", "fs"), ("fs", "rocksdb"), ("sql", "rocksdb"), ("rocksdb", "sql")):
            with self.subTest(old=old, new=new):
                relay, ids = self.stopped(old, count=3)
                before = self.snapshot(relay.spool)
                relay.write_config({"storage": {"storage_type": new}})
                advice = f"hedwig spool migrate --from {old} --to {new} --retire"
                self.refused(relay, "3 messages", advice)
                checked = self.run_hedwig("check", "-c", relay.config_path)
                line = next(at for at, text in enumerate(relay.config_path.read_text().splitlines(), 1) if "storage_type" in text)
                self.assertRegex(checked.stderr, rf"hedwig\.toml:{line}:\d+: warning: .*{advice}")
                self.assertEqual(self.snapshot(relay.spool), before)
                done = self.run_hedwig(*advice.split()[1:], "-c", relay.config_path)
                self.assertIn("3 messages", done.stdout)
                self.assertEqual(self.run_hedwig("check", "-c", relay.config_path).stderr.count("--retire"), 0)
                self.assertEqual(set(self.listed(relay)), set(ids))
                self.assertEqual(len(self.deliver(relay, self.sink(), 2)), 2)
                relay.stop()

    def test_a_relay_does_not_start_beside_the_log_of_hedwig_0_10(self):
        relay = self.relay({"storage": {"storage_type": "log"}}, start=False)
        relay.write_config()
        shard = relay.spool / "spool" / "shard-0000"
        shard.mkdir(parents=True)
        (relay.spool / "spool" / "format-version").write_text("1")
        segment = shard / "segment-000000000001.open"
        segment.write_bytes(b"HWLQ" + bytes(200))
        self.refused(relay, "the log of Hedwig 0.10", f"move {relay.spool}/spool away")
        self.assertIn("the log of Hedwig 0.10", self.run_hedwig("check", "-c", relay.config_path).stderr)
        self.assertEqual([path.name for path in relay.spool.iterdir()], ["spool"], "nothing is made beside it")
        segment.write_bytes(b"")  # nothing was ever put into it
        relay.start()
        self.assertEqual(relay.submit(), {})
        relay.stop()

    def test_an_empty_spool_of_another_store_is_in_nobodys_way(self):
        for old, new in (("rocksdb", "fs"), ("fs", "rocksdb"), ("sql", "fs")):
            with self.subTest(old=old, new=new):
                relay = self.relay(PAUSED, store=old)
                relay.stop()
                relay.write_config({"storage": {"storage_type": new}})
                relay.start()
                self.assertEqual(relay.submit(), {})
                relay.stop()

    def test_a_migration_in_place_says_what_has_to_follow_and_a_damaged_spool_counts_as_mail(self):
        relay, _ = self.stopped("fs", count=2)
        relay.write_config({"storage": {"storage_type": "rocksdb"}})
        self.assertIn("--retire", self.spool(relay, "migrate", "--from", "fs", "--to", "rocksdb").stdout)
        self.refused(relay, "2 messages")
        self.assertIn("name one with --store", self.run_hedwig("spool", "stats", "--spool", relay.spool, status=2).stderr)
        (relay.spool / "format").write_text("of another age\n")
        self.refused(relay, "cannot be opened")


class LargeMessages(SpoolCase):
    def test_a_message_of_many_parts_is_delivered_whole_after_a_restart(self):
        for store in STORES:
            with self.subTest(store=store):
                relay = self.relay(PAUSED, store=store)
                body = "".join(f"{line:06}{'z' * 70}\r\n" for line in range(60_000))
                relay.submit(plain_message(subject="large", body=body))
                relay.stop()
                got = self.deliver(relay, self.sink(), 1)
                self.assertTrue(got["large"].data.endswith(body.encode()), len(got["large"].data))
                relay.stop()


class Retention(SpoolCase):
    def test_bounced_mail_is_removed_when_it_is_old_and_deferred_mail_is_given_up(self):
        for store in STORES:
            with self.subTest(store=store):
                sink = self.sink(on_rcpt=lambda address, _: "450 4.2.0 not now" if "late" in address else "550 5.1.1 nobody")
                relay = self.relay({"storage": {"cleanup": {"bounced_retention": "1s", "deferred_retention": "2s", "interval": "1s"}},
                                    "retry": {"initial_delay": "1s", "max_delay": "1s", "jitter": 0.0},
                                    "server": {"max_retries": 1000}}, sink.next_hop, store=store)
                relay.submit(sender="ann@example.test", recipients=["late@example.net"])
                relay.submit(sender="ann@example.test", recipients=["nobody@example.net"])
                relay.wait_delivery(recipient="late@example.net", status="deferred")
                relay.wait_delivery(recipient="late@example.net", status="bounced")
                relay.wait_delivery(recipient="nobody@example.net", status="bounced")
                wait_for(lambda: not relay.queue("--state", "bounced"), 60, relay.log_tail, 0.1)
                self.assertTrue([event for event in relay.events() if event.get("event") == "queue.cleaned"])
                relay.stop()

    def test_bounced_mail_is_kept_when_nothing_is_said(self):
        sink = self.sink(on_rcpt=lambda *_: "550 5.1.1 nobody")
        relay = self.relay({"storage": {"cleanup": {"interval": "1s"}}}, sink.next_hop, store="fs")
        relay.submit()
        relay.wait_delivery(status="bounced")
        wait_for(lambda: relay.queue("--state", "bounced"), 20, relay.log_tail)
        relay.stop()
        relay.start()
        self.assertTrue(relay.queue("--state", "bounced"))


class Hedwig010(SpoolCase):
    def old_spool(self, relay):
        """One message a form of Hedwig 0.10's layout, and broken ones, as a crash or a disk leaves them."""
        for name in ("queued", "deferred", "bounced"):
            (relay.spool / name).mkdir(parents=True)

        def header(number, **more):
            return json.dumps({"message_id": f"{ULID}{number:02}", "from": f"<old{number}@example.test>",
                               "to": [f"<to{number}@example.net>"], **more})

        def body(number):
            return f"From: <old{number}@example.test>\r\nSubject: old {number}\r\n\r\nText of {number}: \u00e4\r\n"

        def write(folder, number, text, ending=".json"):
            (relay.spool / folder / f"{ULID}{number:02}{ending}").write_bytes(text.encode())

        write("queued", 1, f"HEDWIG1 {header(1, queued_at='2025-07-01T10:00:00Z')}\n{body(1)}")
        write("queued", 2, header(2, body=body(2)))
        write("queued", 3, json.dumps(json.loads(header(3, body=body(3))), indent=2))
        write("deferred", 4, f"HEDWIG1 {header(4)}\n{body(4)}")
        write("deferred", 4, json.dumps({"attempts": 1, "last_attempt": "2025-07-01T10:00:00Z", "msg_id": f"{ULID}04",
                                         "next_attempt": "2025-07-01T10:01:00Z", "last_error": "450 later"}), ".meta.json")
        write("deferred", 5, header(5, body=body(5)))
        write("deferred", 6, f"HEDWIG1 {header(6)}\n{body(6)}")
        write("deferred", 6, '{"attempts": 1, "next_', ".meta.json")
        write("bounced", 7, f"HEDWIG1 {header(7)}\n{body(7)}")
        write("queued", 10, f"HEDWIG1 {header(10)[:40]}")
        write("queued", 11, header(11, body=body(11))[:-20])
        write("queued", 12, "")
        (relay.spool / "queued" / "notes.txt").write_text("somebody's")
        return {f"{ULID}{number:02}" for number in (10, 11, 12)}

    def relay_010(self, store="fs", **config):
        relay = self.relay({"retry": {"jitter": 0.0}, **config}, store=store, start=False)
        relay.write_config()
        return relay

    def check(self, relay, sink, broken):
        got = {one.message["Subject"]: one for one in sink.wait(6, 60, relay)}
        self.assertEqual(set(got), {f"old {number}" for number in range(1, 7)})
        for number in range(1, 7):
            one = got[f"old {number}"]
            self.assertEqual((one.sender, one.recipients), (f"old{number}@example.test", [f"to{number}@example.net"]))
            self.assertTrue(one.data.endswith(f"\r\n\r\nText of {number}: \u00e4\r\n".encode()), one.data)
        wait_for(lambda: {one["id"] for one in relay.queue("--state", "quarantined")} == broken, 60,
                 lambda: f"{relay.queue('--all')}\n{relay.log_tail()}", 0.1)
        self.assertEqual({one["id"] for one in relay.queue("--state", "bounced")}, {f"{ULID}07"})

    def test_a_spool_of_hedwig_0_10_is_delivered_in_place(self):
        sink = self.sink()
        relay = self.relay_010()
        broken = self.old_spool(relay)
        before = self.snapshot(relay.spool)
        stats = json.loads(self.run_hedwig("queue", "stats", "--json", "--spool", relay.spool).stdout)
        self.assertEqual([stats["states"][name]["messages"] for name in ("queued", "deferred", "bounced")], [6, 3, 1])
        self.assertIn("old4@example.test", self.run_hedwig("queue", "list", "--spool", relay.spool, "--deferred").stdout)
        self.assertIn("Subject: old 2", self.run_hedwig("queue", "show", "--spool", relay.spool, f"{ULID}02").stdout)
        done = self.spool(relay, "verify", status=1)
        self.assertEqual(set(re.findall(r"(?m)^(\w{26})", done.stdout)), broken)
        self.assertEqual(self.snapshot(relay.spool), before)
        relay.write_config({"routes": [{"domains": ["*"], "to": [sink.next_hop]}],
                            "storage": {"cleanup": {"interval": "1s"}}})
        relay.start()
        self.check(relay, sink, broken)
        relay.stop()
        self.assertEqual((relay.spool / "queued" / "notes.txt").read_text(), "somebody's")
        relay.start()
        self.assertEqual({one["id"] for one in relay.queue("--state", "all")} , broken | {f"{ULID}07"}, "nothing comes back")
        relay.stop()

    def put_off(self, relay, numbers, *, queued, due):
        (relay.spool / "deferred").mkdir(parents=True, exist_ok=True)
        for number in numbers:
            name = relay.spool / "deferred" / f"{ULID}{number:02}"
            header = {"message_id": name.name, "from": "a@example.test", "to": ["b@example.net"], "queued_at": stamp(queued)}
            name.with_suffix(".json").write_text(f"HEDWIG1 {json.dumps(header)}\nSubject: put off {number}\r\n\r\ntext\r\n")
            note = {"attempts": 1, "last_attempt": stamp(queued), "next_attempt": stamp(due), "msg_id": name.name}
            name.with_suffix(".meta.json").write_text(json.dumps(note))

    def test_a_clock_that_was_set_back_before_the_start_freezes_no_retry(self):
        sink = self.sink()
        relay = self.relay_010(routes=[{"domains": ["*"], "to": [sink.next_hop]}])
        tomorrow = time.time() + 86400
        self.put_off(relay, range(5), queued=tomorrow, due=tomorrow + 2)
        relay.start()
        self.assertEqual({one.message["Subject"] for one in sink.wait(5, 60, relay)}, {f"put off {n}" for n in range(5)})
        wait_for(lambda: "clock.set-back" in [event.get("event") for event in relay.events()], 60, relay.log_tail)
        relay.stop()

    def test_a_message_with_a_strange_time_sets_no_clock(self):
        sink = self.sink(on_rcpt=lambda *_: "450 4.2.0 not yet")
        relay = self.relay_010(routes=[{"domains": ["*"], "to": [sink.next_hop]}],
                               retry={"jitter": 0.0, "initial_delay": "1s", "max_delay": "1s", "expire_after": "1d"},
                               server={"max_retries": 1000})
        now = time.time()
        self.put_off(relay, range(3), queued=now, due=now)
        self.put_off(relay, range(3, 5), queued=now + 40 * 86400, due=now + 40 * 86400)
        relay.start()
        wait_for(lambda: sum(event.get("status") == "deferred" for event in relay.events()) >= 9, 60, relay.log_tail)
        self.assertNotIn("clock.set-back", [event.get("event") for event in relay.events()])
        self.assertEqual(len(relay.queue()), 5, "none was given up for its age")
        relay.stop()

    def test_a_spool_of_hedwig_0_10_is_migrated_and_delivered(self):
        sink = self.sink()
        relay = self.relay_010("rocksdb")
        broken = self.old_spool(relay)
        before = self.snapshot(relay.spool)
        target = self.path("target")
        self.assertLess(self.peak_of("spool", "migrate", "--from", "fs", "--to", "rocksdb", "--to-path", target, "-c",
                                     relay.config_path, status=1), 200 << 10, "KiB, whatever a message may be long")
        self.assertEqual(self.snapshot(relay.spool), before)
        relay.write_config({"routes": [{"domains": ["*"], "to": [sink.next_hop]}], "storage": {"base_path": str(target)}})
        relay.start()
        self.check(relay, sink, broken)
        relay.stop()

    def test_queue_migrate_of_hedwig_0_10_works_in_place_and_renames_the_old_folders(self):
        sink = self.sink()
        relay = self.relay_010("log")
        broken = self.old_spool(relay)
        old = {path.name: path.read_bytes() for path in (relay.spool / "queued").iterdir()}
        self.run_hedwig("queue", "migrate", "--config", relay.config_path, status=1)
        self.assertFalse((relay.spool / "queued").exists())
        self.assertEqual({path.name: path.read_bytes() for path in (relay.spool / ".migrated-queued").iterdir()}, old)
        relay.write_config({"routes": [{"domains": ["*"], "to": [sink.next_hop]}]})
        relay.start()
        self.check(relay, sink, broken)
        relay.stop()


if __name__ == "__main__":
    main()
