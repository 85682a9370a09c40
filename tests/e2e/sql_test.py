# SPDX-License-Identifier: Apache-2.0
"""The whole relay with its spool in an SQL database: SQLite, and a PostgreSQL server of the test's own."""
import os
import pathlib
import pwd
import shutil
import smtplib
import subprocess
import tempfile

from hedwig_harness import PATIENCE, PLUGINS, Case, main, plain_message, program, skip, wait_for


class Postgresql:
    """A cluster in a folder of its own, on a Unix socket, run by an unprivileged user with a password for its clients."""

    def __init__(self):
        versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not versions:
            skip("PostgreSQL is not installed (package postgresql)")
        self.programs = versions[-1].parent
        shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hedwig-pg-", dir=shared))
        self.prefix = []
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self.prefix = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
        (self.folder / "password").write_text("open sesame\n".replace(" ", "-"))
        (self.folder / "password").chmod(0o644)
        self.run("initdb", "-D", self.folder / "data", "-U", "hedwig", "-A", "scram-sha-256", "--pwfile",
                 self.folder / "password", "--no-sync", "--locale=C", "-E", "UTF8")
        self.start()

    def run(self, name, *arguments):
        with open(self.folder / f"{name}.log", "ab") as log:
            done = subprocess.run([*self.prefix, self.programs / name, *arguments], cwd=self.folder, stdout=log,
                                  stderr=log, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise AssertionError(f"{name} failed\n{(self.folder / f'{name}.log').read_text()}")

    def start(self):
        self.run("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "server.log", "-w", "-t", "120", "-o",
                 f"-k {self.folder} -c listen_addresses= -c shared_buffers=32MB", "start")

    def stop(self, mode):
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-t", "120", "-m", mode, "stop")

    def close(self):
        try:
            self.stop("immediate")
        except AssertionError:
            pass  # it is stopped
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def settings(self):
        return {"engine": "postgresql", "connection": f"host={self.folder} dbname=postgres user=hedwig",
                "password": {"file": str(self.folder / "password")}}


class Sql(Case):
    def postgresql(self):
        server = Postgresql()
        self.addCleanup(server.close)
        return server

    def with_store(self, settings, **changes):
        return self.relay(config={"storage": {"storage_type": "sql", "sql": settings}}, **changes)

    def run_through(self, settings):
        """Mail is delivered, deferred mail and a staged body survive kill -9, and nothing comes twice after an orderly end."""
        busy = [True]
        sink = self.sink(on_rcpt=lambda address, _: "450 4.2.0 not yet" if busy[0] and address.startswith("later") else None)
        relay = self.with_store(settings, next_hop=sink.next_hop)
        for number in range(10):
            relay.submit(plain_message(subject=f"now {number}"))
        sink.wait(10, relay=relay)
        large = "0123456789" * 7 + "\r\n"
        relay.submit(plain_message(subject="large", body=large * 12000), recipients=["later@example.net"])
        relay.submit(plain_message(subject="small"), recipients=["later@example.net"])
        wait_for(lambda: sum(entry.get("state") == "deferred" for entry in relay.queue()) == 2, 30,
                 lambda: f"two deferred messages\n{relay.queue()}\n{relay.log_tail()}")
        relay.kill()
        busy[0] = False
        relay.start()
        for entry in relay.queue():
            relay.admin("queue", "retry", entry["id"], check=False)
        messages = sink.wait(12, relay=relay)
        bodies = {one.message["Subject"]: one.data.partition(b"\r\n\r\n")[2] for one in messages}
        self.assertEqual(bodies["large"].decode(), large * 12000)
        wait_for(lambda: not relay.queue(), 30, "an empty queue")
        relay.stop()
        relay.start()
        relay.submit(plain_message(subject="last"))
        sink.wait(13, relay=relay)
        relay.stop()
        self.assertEqual(len(sink.messages), 13)
        return relay

    def test_sqlite_carries_the_relay(self):
        relay = self.run_through({"engine": "sqlite"})
        self.assertTrue((relay.spool / "spool.sqlite").exists())
        self.assertEqual((relay.spool / "spool.sqlite").stat().st_mode & 0o077, 0)

    def test_the_conformance_kit_finds_no_fault_with_postgresql(self):
        server = self.postgresql()
        config = self.path("check.toml")
        config.write_text(f"""
engine = "postgresql"
path = "{{folder}}/spool"
connection = "host={server.folder} dbname=postgres user=hedwig"
password = {{ file = "{server.folder}/password" }}
schema = "{{unique}}"
[check]
remote = true
""")
        done = subprocess.run([program("hedwig-plugin-check"), PLUGINS / "storage-sql.so", "--config", config, "--short", "--seed",
                               "1"],
                              capture_output=True, text=True, timeout=300 * PATIENCE, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr)
        self.assertIn("storage.claim-beside", done.stdout)

    def test_postgresql_carries_the_relay_and_its_password_is_told_to_nobody(self):
        server = self.postgresql()
        relay = self.run_through(server.settings)
        self.assertNotIn("open-sesame", relay.log_text())

    def test_a_server_that_crashes_costs_time_and_no_mail(self):
        server = self.postgresql()
        sink = self.sink()
        relay = self.with_store(server.settings, next_hop=sink.next_hop)
        accepted = []

        def offer(subject):
            try:
                relay.submit(plain_message(subject=subject))
                accepted.append(subject)
                return True
            except smtplib.SMTPResponseException as error:
                self.assertIn(error.smtp_code, (421, 451, 452), "never a refusal for good")
            except smtplib.SMTPRecipientsRefused as error:
                self.assertTrue(all(code in (421, 450, 451, 452) for code, _ in error.recipients.values()))
            except smtplib.SMTPServerDisconnected:
                pass
            return False

        for number in range(5):
            self.assertTrue(offer(f"before {number}"))
        server.stop("immediate")
        wait_for(lambda: not offer("during"), 60, "mail to be put off")
        server.start()
        wait_for(lambda: offer("after"), 120, lambda: f"mail to be taken again\n{relay.log_tail()}")
        wait_for(lambda: set(accepted) <= {one.message["Subject"] for one in sink.messages}, 60,
                 lambda: f"all of {accepted}\n{relay.log_tail()}")
        wait_for(lambda: not relay.queue(), 60, lambda: f"an empty queue\n{relay.log_tail()}")
        relay.stop()

    def test_check_names_what_is_wrong_in_the_settings(self):
        for settings, wanted in (
                ({"engine": "postgresql"}, "storage.sql.connection"),
                ({"engine": "postgresql", "connection": "host=/run dbname=a password=b"}, "password"),
                ({"engine": "postgresql", "connection": "host=/run dbname=a", "schema": "Robert'); --"}, "schema"),
                ({"engine": "mariadb"}, "mariadb"),
                ({"connection": "host=/run"}, "connection")):
            with self.subTest(settings=settings):
                relay = self.relay(config={"storage": {"storage_type": "sql", "sql": settings}}, start=False)
                relay.write_config()
                done = subprocess.run([program("hedwig"), "check", "-c", str(relay.config_path)], capture_output=True, text=True,
                                      stdin=subprocess.DEVNULL)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(wanted, done.stdout + done.stderr)
                self.assertNotIn("password=b", done.stdout + done.stderr)


if __name__ == "__main__":
    main()
