# SPDX-License-Identifier: Apache-2.0
"""How the relay starts, changes its configuration, and ends."""
import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import threading
import time

from hedwig_harness import (PATIENCE, PLUGINS, STORES, Case, free_port, host, main, make_certificate, need_root, plain_message,
                            program, to_toml, wait_for)


class Ending(Case):
    def test_sigterm_lets_a_delivery_finish_and_exits_0(self):
        for store in STORES:
            with self.subTest(store=store):
                reached, go_on = threading.Event(), threading.Event()

                def slowly(got, sink):
                    reached.set()
                    go_on.wait(20 * PATIENCE)

                sink = self.sink(on_data=slowly)
                relay = self.relay(next_hop=sink.next_hop, store=store)
                relay.submit()
                self.assertTrue(reached.wait(20 * PATIENCE))
                relay.signal(signal.SIGTERM)
                wait_for(lambda: not self.greets(relay), 10, "the listener to close")
                self.assertIsNone(relay.process.poll(), "it waits for the delivery")
                go_on.set()
                relay.ended()
                self.assertEqual(len(sink.messages), 1)
                relay.start()
                relay.submit(plain_message(subject="second"))
                relay.wait_delivery(subject="second", status="delivered")
                self.assertEqual(len(sink.messages), 2, "what was delivered before the end is not sent again")
                relay.stop()

    @staticmethod
    def greets(relay):
        try:
            with socket.create_connection((relay.address, relay.port), timeout=60) as link:
                return link.recv(3) == b"220"
        except OSError:
            return False

    def test_sigterm_ends_idle_sessions_with_421(self):
        relay = self.relay()
        client = relay.smtp()
        client.ehlo()
        relay.signal(signal.SIGTERM)
        client.sock.settimeout(20 * PATIENCE)
        self.assertRegex(client.sock.recv(200), rb"^421 ")
        relay.ended()

    def test_a_second_sigterm_ends_it_at_once(self):
        reached = threading.Event()
        release = threading.Event()

        def hang(got, sink):
            reached.set()
            release.wait(60 * PATIENCE)

        sink = self.sink(on_data=hang)
        self.addCleanup(release.set)  # before the sink is closed
        relay = self.relay(next_hop=sink.next_hop)
        relay.submit()
        self.assertTrue(reached.wait(20 * PATIENCE))
        relay.signal(signal.SIGTERM)
        wait_for(lambda: not self.greets(relay), 10, "the listener to close")
        relay.signal(signal.SIGTERM)
        started = time.monotonic()
        relay.process.wait(10 * PATIENCE)
        self.assertLess(time.monotonic() - started, 5 * PATIENCE)
        relay.process = None

    def test_sigint_is_like_sigterm(self):
        relay = self.relay()
        relay.signal(signal.SIGINT)
        self.assertEqual(relay.process.wait(20 * PATIENCE), 0)
        relay.process = None

    def test_queued_mail_survives_a_restart(self):
        for store in STORES:
            with self.subTest(store=store):
                sink = self.sink()
                relay = self.relay({"outbound": {"paused": True}}, sink.next_hop, store=store)
                for number in range(20):
                    relay.submit(plain_message(subject=f"number {number}"))
                relay.stop()
                self.assertEqual(sink.messages, [])
                relay.write_config({"outbound": {"paused": False}})
                relay.start()
                got = sink.wait(20, relay=relay)
                self.assertEqual({item.message["Subject"] for item in got}, {f"number {number}" for number in range(20)})


class Spool(Case):
    def test_a_second_instance_on_the_spool_is_refused(self):
        for store in STORES:
            with self.subTest(store=store):
                first = self.relay(store=store)
                second = self.relay(start=False, store=store, config={"storage": {"base_path": str(first.spool)}})
                second.spawn()
                self.assertNotEqual(second.process.wait(20 * PATIENCE), 0)
                second.process = None
                self.assertIn(str(first.spool), second.log_text())
                self.assertEqual(first.submit(), {}, "the first one goes on")

    def test_a_spool_that_is_a_file_is_called_so(self):
        for store in STORES:
            with self.subTest(store=store):
                place = self.path("file")
                place.write_text("")
                relay = self.relay({"storage": {"base_path": str(place)}}, store=store, start=False)
                relay.write_config()
                done = subprocess.run(relay.command(), capture_output=True, text=True, timeout=60 * PATIENCE)
                self.assertEqual(done.returncode, 1)
                self.assertIn("it is no folder; name one in storage.base_path", done.stdout + done.stderr)

    def test_it_runs_as_a_user_of_its_own(self):
        need_root("changing the user")
        sink = self.sink()
        # Copies, since that user may not be let into the folder of the build.
        relay = self.relay({"plugins": {"directories": [str(shutil.copytree(PLUGINS, self.path("plugins")))]}},
                           sink.next_hop, start=False)
        relay.executable = shutil.copy(program("hedwig"), self.path("hedwig"))
        relay.write_config()
        relay.spool.mkdir(parents=True)
        self.folder.chmod(0o755)
        for path in (relay.folder, relay.spool):
            os.chown(path, 65534, 65534)
        relay.start(wrapper=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        relay.submit()
        sink.wait(relay=relay)
        self.assertTrue(all(path.stat().st_uid == 65534 for path in relay.spool.rglob("*")))

    def test_the_spool_is_readable_by_nobody_else(self):
        relay = self.relay({"outbound": {"paused": True}})
        relay.submit()
        for path in relay.spool.rglob("*"):
            if path.is_file():
                mode = path.stat().st_mode
                walled = any(parent.stat().st_mode & 0o077 == 0 for parent in path.parents if relay.folder in parent.parents)
                self.assertTrue(walled or not mode & 0o007, f"{path} has mode {mode:o}")


class Activation(Case):
    def test_a_listening_socket_handed_over_by_systemd_is_used(self):
        relay = self.relay(start=False)
        relay.write_config()
        listener = socket.socket()
        listener.bind((relay.address, relay.port))
        listener.listen(16)
        os.set_inheritable(listener.fileno(), True)
        script = f'exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
        with open(relay.log_path, "ab") as log:
            relay.process = subprocess.Popen(["bash", "-c", script, "bash", program("hedwig"), "-c", str(relay.config_path)],
                                             stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                             pass_fds=[listener.fileno()], cwd=relay.folder)
        listener.close()
        wait_for(relay._greets, 20, relay.log_tail)
        self.assertEqual(relay.submit(), {})


class Reload(Case):
    def test_sighup_takes_over_what_can_change(self):
        old, new = self.sink(), self.sink()
        relay = self.relay(next_hop=old.next_hop)
        relay.submit()
        old.wait(relay=relay)
        relay.write_config({"routes": [{"domains": ["*"], "to": [new.next_hop]}]})
        relay.signal(signal.SIGHUP)

        def arrives_at_the_new_one():
            relay.submit()
            return new.messages

        wait_for(arrives_at_the_new_one, 20, relay.log_tail, 0.1)

    def test_sighup_names_what_needs_a_restart(self):
        relay = self.relay()
        relay.write_config({"storage": {"base_path": str(relay.folder / "elsewhere")}})
        relay.signal(signal.SIGHUP)
        wait_for(lambda: "base_path" in relay.log_text() or "storage" in relay.log_text(since_start=True).split("reload")[-1],
                 20, relay.log_tail)
        self.assertEqual(relay.submit(), {})

    def test_a_broken_config_changes_nothing(self):
        sink = self.sink()
        relay = self.relay(next_hop=sink.next_hop)
        relay.config_path.write_text("[server]\nhostnam = 1\n")
        relay.signal(signal.SIGHUP)
        wait_for(lambda: "hostnam" in relay.log_text(), 20, relay.log_tail)
        relay.submit()
        sink.wait(relay=relay)

    def test_certificates_are_read_again(self):
        first = make_certificate(self.folder, addresses=[host()])
        port = free_port()
        relay = self.relay(start=False)
        relay.write_config({"server": {"listeners": [
            {"addr": f"{relay.address}:{relay.port}"},
            {"addr": f"{relay.address}:{port}", "tls": {"cert_path": first[0], "key_path": first[1], "mode": "implicit"}}]}})
        relay.start()

        def served():
            return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((relay.address, port), timeout=60))

        before = served()
        make_certificate(self.folder, addresses=[host()])
        relay.signal(signal.SIGHUP)
        wait_for(lambda: served() != before, 20, relay.log_tail, 0.1)


class Configuration(Case):
    def run_hedwig(self, *arguments, text=None, name="hedwig.toml"):
        path = self.folder / name
        if text is not None:
            path.write_text(text)
        done = subprocess.run([program("hedwig"), *arguments, "-c", str(path)], capture_output=True, text=True, timeout=300,
                              stdin=subprocess.DEVNULL, cwd=self.folder)
        return done.returncode, done.stdout + done.stderr, path

    BROKEN = ('[server]\nhostnam = "relay.example.test"\nmax_connections = "many"\n'
              '[[server.listeners]]\naddr = "127.0.0.1:99999"\n'
              '[storage]\nstorage_type = "rocksdb"\nbase_path = "/nonexistent/spool"\n[retri]\njitter = 2.0\n')

    def test_all_errors_are_told_with_their_place_and_what_to_write(self):
        for arguments in (("check",), ("server",), ()):
            with self.subTest(arguments=arguments):
                status, output, path = self.run_hedwig(*arguments, text=self.BROKEN)
                self.assertEqual(status, 2, output)
                for line, word in ((2, "hostname"), (3, "max_connections"), (5, "addr|port|address"), (9, "retry")):
                    self.assertRegex(output, rf"(?m)hedwig\.toml:{line}:\d+: .*(?:{word})")

    def test_a_good_file_passes(self):
        relay = self.relay(start=False)
        relay.write_config()
        done = subprocess.run(relay.command("check"), capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertFalse(any(relay.folder.glob("spool/*")), "a check touches no spool")

    def test_an_absent_file_is_an_error(self):
        status, output, _ = self.run_hedwig("check", name="absent.toml")
        self.assertEqual(status, 2, output)
        self.assertIn("absent.toml", output)

    def test_a_file_with_every_key_of_hedwig_0_10_passes_and_warns(self):
        certificate, key = make_certificate(self.folder)
        status, output, _ = self.run_hedwig("check", text=to_toml({
            "log": {"level": "info", "format": "fmt"},
            "server": {
                "workers": 4, "max_retries": 5, "disable_outbound": False, "outbound_local": True,
                "helo_hostname": "relay.example.test", "hostname": "relay.example.test", "queue_buffer": 1000,
                "max_connections": 10000, "max_message_size": 26214400, "cmd_timeout": "5m", "data_timeout": "10m",
                "pool_size": 100, "smtp": {"cache_size": 100, "min_idle": 2, "max_size": 10},
                "metrics": {"bind": f"{host()}:{free_port()}"}, "health": {"bind": f"{host()}:{free_port()}"},
                "listeners": [{"addr": f"{host()}:{free_port()}",
                               "tls": {"cert_path": certificate, "key_path": key, "mode": "starttls"}}],
                "auth": [{"username": "alice", "password": "secret"}],
                "rate_limits": {"enabled": True, "default_limit": 60, "domain_limits": {"example.com": 10}},
            },
            "storage": {"storage_type": "log", "base_path": str(self.folder / "spool"),
                        "cleanup": {"bounced_retention": "7d", "deferred_retention": "7d", "interval": "1h"}},
            "queue": {"append_writers": 1, "pending_append_bytes": 134217728, "segment_target_bytes": 67108864,
                      "compaction_dead_ratio": 0.5, "compaction_min_age": "60s", "disk_reserve_bytes": 1073741824,
                      "checkpoint_interval_bytes": 8388608},
            "filters": [{"type": "from_domain_filter", "domain": ["example.test"], "action": "allow"},
                        {"type": "to_domain_filter", "domain": ["example.org"], "action": "deny"}],
            "plugins": {"directories": [str(PLUGINS)]},
        }))
        self.assertEqual(status, 0, output)
        for word in ("workers", "queue_buffer", "append_writers", "log"):
            self.assertRegex(output, rf"(?m)hedwig\.toml:\d+:\d+: .*\b{word}\b")

    def test_version_and_help_are_there(self):
        for name in ("hedwig", "hedwig-admin", "hedwig-sink"):
            for option in ("--help", "--version"):
                done = subprocess.run([program(name), option], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
                self.assertEqual(done.returncode, 0, f"{name} {option}: {done.stdout}{done.stderr}")
                self.assertTrue(done.stdout.strip(), f"{name} {option} says something")

    def test_the_log_level_of_the_environment_wins(self):
        relay = self.relay(environment={"HEDWIG_LOG_LEVEL": "error"})
        relay.submit(recipients=["bob@127.0.0.1.example.invalid"])
        relay.stop()
        self.assertEqual([event for event in relay.events() if event["level"] in ("info", "debug", "trace")], [])


class Filters(Case):
    def test_denied_domains_are_refused(self):
        relay = self.relay({"filters": [{"type": "from_domain_filter", "domain": ["bad.example"], "action": "deny"},
                                        {"type": "to_domain_filter", "domain": ["example.net"], "action": "allow"}]})
        with self.assertRaises((smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused)):
            relay.submit(sender="eve@bad.example")
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            relay.submit(recipients=["bob@example.org"])
        self.assertEqual(relay.submit(), {})


if __name__ == "__main__":
    main()
