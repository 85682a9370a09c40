# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up: new mail is put off with 452, deliveries go on, and service comes back by itself."""
import os
import smtplib
import subprocess
import threading

from hedwig_harness import STORES, Case, main, need_root, plain_message, skip, wait_for

MIB = 1 << 20


class FullDisk(Case):
    def small_disk(self, megabytes):
        need_root("mounting a tmpfs")
        path = self.path("disk")
        path.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", path], capture_output=True, text=True)
        if done.returncode != 0:
            skip(f"mounting a tmpfs is not permitted here: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=False)
        return path

    @staticmethod
    def free(path):
        state = os.statvfs(path)
        return state.f_bavail * state.f_frsize

    def fill(self, disk, leave):
        """A file that leaves `leave` bytes free (0: writes until it fails)."""
        ballast = disk / "ballast"
        with open(ballast, "ab", buffering=0) as file:
            try:
                while self.free(disk) > leave:
                    file.write(b"\0" * min(MIB, max(4096, self.free(disk) - leave)))
            except OSError:
                pass
        return ballast

    @staticmethod
    def attempt(relay, subject="more"):
        """The reply code that a submission meets, wherever it comes."""
        with relay.smtp() as client:
            client.ehlo()
            code, text = client.mail("alice@example.test", ["SIZE=5000"])
            if code // 100 == 2:
                code, text = client.rcpt("bob@example.net")
            if code // 100 == 2:
                try:
                    code, text = client.data(plain_message(subject=subject, body="x" * 70 + "\r\n"))
                except smtplib.SMTPDataError as error:
                    code, text = error.smtp_code, error.smtp_error
            return code, text

    def test_below_the_reserve_new_mail_is_put_off_and_deliveries_go_on(self):
        for store in STORES:
            with self.subTest(store=store):
                disk = self.small_disk(512)
                accept = threading.Event()
                sink = self.sink(on_rcpt=lambda *_: None if accept.is_set() else "450 4.2.0 not yet")
                relay = self.relay({"storage": {"base_path": str(disk / "spool")}, "queue": {"disk_reserve_bytes": 64 * MIB},
                                    "retry": {"initial_delay": "1s", "max_delay": "1s", "jitter": 0.0},
                                    "server": {"max_retries": 1000}}, sink.next_hop, store=store)
                for number in range(5):
                    self.assertEqual(self.attempt(relay, f"before {number}")[0], 250)
                relay.wait_delivery(status="deferred")
                ballast = self.fill(disk, 32 * MIB)
                code, text = wait_for(lambda: (lambda answer: answer if answer[0] != 250 else None)(self.attempt(relay)), 20, relay.log_tail, 0.1)
                self.assertEqual((code, text[:5]), (452, b"4.3.1"))
                accept.set()
                taken_before_452 = len([event for event in relay.deliveries() if event["subject"] == "more"])
                wait_for(lambda: {got.message["Subject"] for got in list(sink.messages)} >= {f"before {n}" for n in range(5)}, 30,
                         lambda: f"the deliveries to go on ({taken_before_452})\n" + relay.log_tail())
                self.assertEqual(self.attempt(relay)[0], 452)
                ballast.unlink()
                wait_for(lambda: self.attempt(relay, "after")[0] == 250, 30, relay.log_tail, 0.1)
                wait_for(lambda: "after" in {got.message["Subject"] for got in list(sink.messages)}, 20, relay.log_tail)
                relay.stop()

    def test_a_disk_filled_to_the_last_octet_loses_nothing(self):
        for store in STORES:
            with self.subTest(store=store):
                disk = self.small_disk(256)
                sink = self.sink()
                relay = self.relay({"storage": {"base_path": str(disk / "spool")}, "queue": {"disk_reserve_bytes": 4096},
                                    "retry": {"initial_delay": "1s", "max_delay": "1s", "jitter": 0.0},
                                    "server": {"max_retries": 1000}}, sink.next_hop, store=store)
                self.assertEqual(self.attempt(relay, "first")[0], 250)
                ballast = self.fill(disk, 0)
                acknowledged, codes = ["first"], []
                for number in range(2000):
                    if number >= 40 and any(code != 250 for code in codes):
                        break  # the first ones may find room in what the store has set aside
                    code, _ = self.attempt(relay, f"full {number}")
                    codes.append(code)
                    if code == 250:
                        acknowledged.append(f"full {number}")
                    self.fill(disk, 0)
                self.assertTrue(any(code in (451, 452) for code in codes), codes)
                self.assertTrue(all(code in (250, 451, 452) for code in codes), codes)
                ballast.unlink()
                wait_for(lambda: self.attempt(relay, "after")[0] == 250, 60, relay.log_tail, 0.2)
                acknowledged.append("after")
                wait_for(lambda: set(acknowledged) <= {got.message["Subject"] for got in list(sink.messages)}, 60,
                         lambda: f"{acknowledged} to arrive\n{relay.log_tail()}")
                relay.stop()

    def test_a_start_on_a_full_disk_delivers_what_is_there_and_takes_mail_when_there_is_room(self):
        disk = self.small_disk(256)
        accept = threading.Event()
        sink = self.sink(on_rcpt=lambda *_: None if accept.is_set() else "450 4.2.0 not yet")
        relay = self.relay({"storage": {"base_path": str(disk / "spool")}, "queue": {"disk_reserve_bytes": 64 * MIB},
                            "retry": {"initial_delay": "1s", "max_delay": "1s", "jitter": 0.0},
                            "server": {"max_retries": 1000}}, sink.next_hop)
        for number in range(5):
            self.assertEqual(self.attempt(relay, f"before {number}")[0], 250)
        relay.stop()
        ballast = self.fill(disk, 0)
        self.assertEqual(self.free(disk), 0)
        relay.start()
        self.assertEqual(self.attempt(relay)[0], 452)
        accept.set()
        self.assertEqual({got.message["Subject"] for got in sink.wait(5, 60, relay)}, {f"before {n}" for n in range(5)})
        wait_for(lambda: not relay.queue(), 30, relay.log_tail)
        ballast.unlink()
        wait_for(lambda: self.attempt(relay, "after")[0] == 250, 30, relay.log_tail, 0.1)
        relay.stop()


if __name__ == "__main__":
    main()
