# SPDX-License-Identifier: Apache-2.0
"""A disk that fails under the whole relay: a sync with EIO, a file system that turns read-only, a sync that hangs.

The shim of tests/powercut stands between the relay and its spool, and does what a plan in shared memory says."""
import errno
import mmap
import os
import struct
import threading

from hedwig_harness import BUILD, STORES, Case, main, plain_message, skip, wait_for

# Two tests wait 20 s for a relay to give up; by default each does so on one of the stores.
BOTH = os.environ.get("HEDWIG_FAULTS_ON_BOTH", "") == "1"
SHIM = BUILD / "tests" / "hedwig_disk_shim.so"

# As in tests/powercut/journal.hpp.
FAIL, HOLD = 1, 3
OPEN, WRITE, RENAME, FSYNC, FDATASYNC, SYNCFS, TRUNCATE, MKDIR, UNLINK, ALLOCATE, READ, FSYNC_FOLDER = (1 << n for n in range(12))
EVERY_SYNC = FSYNC | FDATASYNC | SYNCFS | FSYNC_FOLDER
EVERY_CHANGE = EVERY_SYNC | WRITE | RENAME | TRUNCATE | MKDIR | UNLINK | ALLOCATE


class Disk:
    """The plan that the shim in the relay follows."""

    LAYOUT = struct.Struct("<IIIIQ")  # mode, calls, error, always, nth; then generation and hits

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(40))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 40)

    def set(self, mode=0, calls=0, error=0):
        self.LAYOUT.pack_into(self.memory, 0, mode, calls, error, 1, 1)
        struct.pack_into("<Q", self.memory, 32, 0)
        struct.pack_into("<Q", self.memory, 24, struct.unpack_from("<Q", self.memory, 24)[0] + 1)

    def hits(self):
        return struct.unpack_from("<Q", self.memory, 32)[0]

    def close(self):
        self.memory.close()


class FailingDisk(Case):
    def setUp(self):
        super().setUp()
        if not SHIM.exists():
            skip(f"{SHIM} is not built")

    def begin(self, store):
        """A relay on a disk of its own; its next hop puts off until self.accept is set."""
        self.accept = threading.Event()
        self.sink_ = self.sink(on_rcpt=lambda *_: None if self.accept.is_set() else "450 4.2.0 not yet")
        disk = self.opened(Disk(self.path("plan")))
        relay = self.relay({"retry": {"initial_delay": "1s", "max_delay": "1s", "jitter": 0.0}, "server": {"max_retries": 1000}},
                           self.sink_.next_hop, start=False, store=store)
        relay.environment = {"LD_PRELOAD": str(SHIM), "HEDWIG_DISK_ROOT": os.path.realpath(relay.folder) + "/spool",
                             "HEDWIG_DISK_PLAN": str(disk.path)}
        relay.start()
        self.acknowledged = []
        return relay, disk

    def attempt(self, relay, subject):
        """(code, whether the relay asked for the message before it gave it)."""
        with relay.smtp(timeout=300) as client:
            client.ehlo()
            code, asked = client.mail("alice@example.test")[0], False
            if code // 100 == 2:
                code = client.rcpt("bob@example.net")[0]
            if code // 100 == 2:
                code = client.docmd("DATA")[0]
            if code == 354:
                asked = True
                client.send(plain_message(subject=subject).encode() + b"\r\n.\r\n")
                code = client.getreply()[0]
            if code == 250:
                self.acknowledged.append(subject)
            return code, asked

    def arrives(self, relay):
        """Everything acknowledged, at the next hop."""
        self.accept.set()
        wait_for(lambda: set(self.acknowledged) <= {got.message["Subject"] for got in list(self.sink_.messages)}, 60,
                 lambda: f"{self.acknowledged} to arrive\n{relay.log_tail()}")

    def refuses(self, relay):
        """New mail is put off, and soon before it is sent at all; nothing is acknowledged."""
        answers = []

        def put_off_early():
            answers.append(self.attempt(relay, f"refused {len(answers)}"))
            return not answers[-1][1]

        wait_for(put_off_early, 60, lambda: f"mail to be refused before DATA: {answers}\n{relay.log_tail()}", 0.05)
        self.assertTrue(all(code in (451, 452) for code, _ in answers), answers)

    def ends_by_itself(self, relay):
        relay.ended(timeout=120, expect=1)
        self.assertIn("store.failed", [event.get("event") for event in relay.events()], relay.log_tail())

    def test_a_failed_sync_is_never_followed_by_250(self):
        for store in STORES if BOTH else STORES[:1]:
            with self.subTest(store=store):
                relay, disk = self.begin(store)
                self.assertEqual(self.attempt(relay, "before")[0], 250)
                disk.set(FAIL, EVERY_SYNC, errno.EIO)
                self.refuses(relay)
                self.assertGreater(disk.hits(), 0)
                self.assertNotEqual(relay.http("/readyz", relay.health_port)[0], 200)
                disk.set()
                # What a failed sync has left behind nobody knows: neither store goes on. A new start looks what is there.
                self.ends_by_itself(relay)
                relay.start()
                self.assertEqual(self.attempt(relay, "after")[0], 250)
                self.arrives(relay)
                relay.stop()

    def test_a_file_system_that_turns_read_only_stops_the_relay_with_a_clear_message(self):
        for store in STORES if BOTH else STORES[1:]:
            with self.subTest(store=store):
                relay, disk = self.begin(store)
                self.assertEqual(self.attempt(relay, "before")[0], 250)
                disk.set(FAIL, EVERY_CHANGE, errno.EROFS)
                self.refuses(relay)
                self.ends_by_itself(relay)
                relay.spawn()
                relay.ended(timeout=60, expect=1)
                self.assertIn("Read-only file system", relay.log_text(since_start=True))
                disk.set()
                relay.start()
                self.assertEqual(self.attempt(relay, "after")[0], 250)
                self.arrives(relay)
                relay.stop()

    def test_a_spool_that_is_deleted_or_replaced_takes_no_more_mail_and_ends_the_relay(self):
        for store, replaced in (("rocksdb", False), ("fs", True)) if not BOTH else [(s, r) for s in STORES for r in (False, True)]:
            with self.subTest(store=store, replaced=replaced):
                relay, _ = self.begin(store)
                self.assertEqual(self.attempt(relay, "before")[0], 250)
                relay.spool.rename(relay.folder / "away")
                if replaced:
                    relay.spool.mkdir()
                self.refuses(relay)
                self.assertNotEqual(relay.http("/readyz", relay.health_port)[0], 200)
                self.assertIn("the spool was deleted or replaced under the relay", relay.log_text())
                self.ends_by_itself(relay)
                if replaced:
                    self.assertEqual(list(relay.spool.iterdir()), [], "nothing is written to the one that is not its own")
                    relay.spool.rmdir()
                (relay.folder / "away").rename(relay.spool)
                relay.start()
                self.assertEqual(self.attempt(relay, "after")[0], 250)
                self.arrives(relay)
                relay.stop()

    def test_a_sync_that_hangs_acknowledges_nothing_until_it_is_through(self):
        for store in STORES:
            with self.subTest(store=store):
                relay, disk = self.begin(store)
                self.assertEqual(self.attempt(relay, "before")[0], 250)
                disk.set(HOLD, EVERY_SYNC)
                answers = []
                thread = threading.Thread(target=lambda: answers.append(self.attempt(relay, "held")))
                thread.start()
                wait_for(lambda: disk.hits() > 0, 60, relay.log_tail)
                # The relay is alive meanwhile: it greets, and takes commands.
                with relay.smtp() as client:
                    self.assertEqual(client.ehlo()[0], 250)
                self.assertEqual(answers, [])
                if BOTH or store == STORES[0]:  # it takes half a minute
                    wait_for(lambda: relay.http("/readyz", relay.health_port)[0] == 503, 120, relay.log_tail)
                    self.assertEqual(self.attempt(relay, "while it hangs"), (451, False))
                    self.assertEqual(relay.admin("status")["store"]["health"], "timeout")
                    wait_for(lambda: "store.hangs" in [event.get("event") for event in relay.events()], 60, relay.log_tail)
                    self.assertEqual(answers, [])
                disk.set()
                thread.join(300)
                self.assertEqual(answers, [(250, True)])
                self.assertEqual(self.attempt(relay, "after")[0], 250)
                self.arrives(relay)
                relay.stop()

    def test_a_failed_write_of_one_message_refuses_that_one(self):
        for store in STORES:
            with self.subTest(store=store):
                relay, disk = self.begin(store)
                self.assertEqual(self.attempt(relay, "before")[0], 250)
                disk.set(FAIL, WRITE | RENAME, errno.ENOSPC)
                code, _ = self.attempt(relay, "no room")
                self.assertIn(code, (451, 452))
                disk.set()
                wait_for(lambda: self.attempt(relay, "after")[0] == 250, 60, relay.log_tail, 0.1)
                self.arrives(relay)
                relay.stop()


if __name__ == "__main__":
    main()
