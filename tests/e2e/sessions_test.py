# SPDX-License-Identifier: Apache-2.0
"""What an operator sees of clients and does to them: sessions listed, filtered and ended, dialogues traced."""
import json
import os
import signal
import smtplib
import socket
import subprocess
import threading

from fault_test import EVERY_SYNC, HOLD, SHIM, Disk
from hedwig_harness import (PATIENCE, Case, free_port, host, main, make_certificate, plain_message, program, skip, trusting,
                            wait_for)

PASSWORD = "correct horse battery staple"


class Clients(Case):
    def setUp(self):
        super().setUp()
        self.clients = []

    def two_listeners(self, **changes):
        """A relay with a listener for everybody, and one with users; both on this machine."""
        relay = self.relay(changes.pop("config", None), changes.pop("next_hop", f"{host()}:{free_port()}"), start=False, **changes)
        self.login_port = free_port()
        relay.write_config({"server": {"auth": [{"username": "ann", "password": PASSWORD}], "listeners": [
            {"name": "open", "addr": f"{relay.address}:{relay.port}"},
            {"name": "users", "addr": f"{relay.address}:{self.login_port}", "allow_auth_in_clear": True}]}})
        relay.start()
        # The greeting that start() waited for.
        wait_for(lambda: self.listed(relay) == [], 20, relay.log_tail)
        return relay

    def client(self, relay, port=None, helo="client.example.test"):
        client = self.opened(relay.smtp(port))
        if helo:
            self.assertEqual(client.ehlo(helo)[0], 250)
        return client

    def listed(self, relay, *arguments):
        return relay.admin("sessions", *arguments)["sessions"]

    def killed_line(self, client):
        """What the client hears last, before the end of the connection."""
        code, text = client.getreply()
        self.assertRaises(smtplib.SMTPServerDisconnected, client.noop)
        return code, text


class Sessions(Clients):
    def test_a_session_is_shown_as_it_goes_on(self):
        sink = self.sink()
        relay = self.two_listeners(next_hop=sink.next_hop)
        self.assertIn("no session", relay.admin("sessions", as_json=False))
        client = self.client(relay, self.login_port, helo=None)
        state = lambda: wait_for(lambda: self.listed(relay), 20, relay.log_tail)[0]
        self.assertEqual(state()["state"], "hello")
        client.ehlo("client.example.test")
        self.assertEqual(state()["state"], "idle")
        client.login("ann", PASSWORD)
        client.mail("ann@example.test")
        client.rcpt("bob@example.net")
        self.assertEqual(state()["state"], "mail")
        client.docmd("DATA")
        wait_for(lambda: state()["state"] == "data", 20, relay.log_tail)
        client.send(plain_message().encode() + b"\r\n.\r\n")
        self.assertEqual(client.getreply()[0], 250)
        client.docmd("NONSENSE")
        one = state()
        self.assertEqual({key: one[key] for key in ("client", "listener", "tls", "user", "helo", "state", "messages", "refused")},
                         {"client": "127.0.0.1", "listener": "users", "tls": "", "user": "ann", "helo": "client.example.test",
                          "state": "idle", "messages": 1, "refused": 1})
        self.assertEqual(one["port"], client.sock.getsockname()[1])
        self.assertGreater(one["received_bytes"], len(plain_message()))
        self.assertRegex(one["connected_at"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertLessEqual(one["idle_seconds"], one["age_seconds"])
        table = relay.admin("sessions", as_json=False)
        self.assertRegex(table, rf"{one['id']}\s+127\.0\.0\.1:{one['port']}\s+users\s+ann\s+client\.example\.test\s+idle\s+1\s+1")
        client.quit()
        wait_for(lambda: self.listed(relay) == [], 20, relay.log_tail)

    def test_pages_and_filters(self):
        relay = self.two_listeners()
        for _ in range(7):
            self.client(relay)
        users = [self.client(relay, self.login_port) for _ in range(3)]
        users[1].login("ann", PASSWORD)
        everybody = [one["id"] for one in self.listed(relay, "--limit", "1000")]
        self.assertEqual((len(everybody), everybody), (10, sorted(everybody)))
        walked, cursor = [], None
        while cursor != "":
            page = relay.admin("sessions", "--limit", "3", *(["--cursor", cursor] if cursor else []))
            self.assertLessEqual(len(page["sessions"]), 3)
            walked += [one["id"] for one in page["sessions"]]
            cursor = page["cursor"]
        self.assertEqual(walked, everybody)
        self.assertEqual(len(self.listed(relay, "--listener", "users")), 3)
        self.assertEqual(len(self.listed(relay, "--listener", "nobody's")), 0)
        self.assertEqual(len(self.listed(relay, "--client", "127.0.0.0/8")), 10)
        self.assertEqual(len(self.listed(relay, "--client", "192.0.2.1")), 0)
        self.assertEqual([one["user"] for one in self.listed(relay, "--user", "ann")], ["ann"])
        self.assertIn("more: --cursor", relay.admin("sessions", "--limit", "3", as_json=False))
        self.assertNotIn("more:", relay.admin("sessions", "--all", as_json=False))

    def test_kill_by_id_and_by_client(self):
        relay = self.two_listeners()
        first, second, third = self.client(relay), self.client(relay), self.client(relay, self.login_port)
        by_port = {one["port"]: str(one["id"]) for one in self.listed(relay)}
        wanted = by_port[second.sock.getsockname()[1]]
        self.assertEqual(relay.admin("sessions", "kill", wanted), {"killed": 1, "after_commit": 0})
        code, text = self.killed_line(second)
        self.assertEqual((code, text[:5]), (421, b"4.3.2"))
        wait_for(lambda: len(self.listed(relay)) == 2, 20, relay.log_tail)
        done = relay.admin("sessions", "kill", wanted, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no such session", done.stderr)
        self.assertEqual(first.noop()[0], 250)
        third.mail("ann@example.test")  # in the middle of a transaction
        self.assertEqual(relay.admin("sessions", "kill", "--client", "127.0.0.1", as_json=False), "2 sessions ended\n")
        self.assertEqual([self.killed_line(one)[0] for one in (first, third)], [421, 421])
        wait_for(lambda: self.listed(relay) == [], 20, relay.log_tail)
        self.assertEqual(relay.admin("sessions", "kill", "--client", "127.0.0.1"), {"killed": 0, "after_commit": 0})
        self.assertEqual(relay.admin("status")["refusals"]["killed"], 3)
        self.assertEqual([event["event"] for event in relay.events() if event["event"] == "sessions.killed"],
                         ["sessions.killed"] * 3)

    def test_a_handshake_and_a_greeting_that_waits_are_cut_off(self):
        certificate = make_certificate(self.folder)
        relay = self.relay({"server": {"greeting_delay": "1m"}}, f"{host()}:{free_port()}", start=False)
        port = free_port(relay.address)
        # The relay's own probe is not kept waiting.
        relay.config["server"]["listeners"] = [
            {"addr": f"{relay.address}:{relay.port}"},
            {"name": "slow", "addr": f"{relay.address}:{port}", "relay_from": ["192.0.2.0/24"],
             "tls": {"cert_path": certificate[0], "key_path": certificate[1], "mode": "implicit"}}]
        relay.start()
        silent = self.opened(socket.create_connection((relay.address, port), timeout=60 * PATIENCE))
        wait_for(lambda: [one["state"] for one in self.listed(relay, "--listener", "slow")] == ["handshake"], 20, relay.log_tail)
        relay.admin("sessions", "kill", "--listener", "slow")
        with self.assertRaises(ConnectionResetError, msg="no clear text into a handshake"):
            silent.recv(100)
        waiting = self.opened(trusting(certificate[0]).wrap_socket(
            socket.create_connection((relay.address, port), timeout=60 * PATIENCE), server_hostname="relay.example.test"))
        wait_for(lambda: [one["state"] for one in self.listed(relay, "--listener", "slow")] == ["greeting"], 20, relay.log_tail)
        self.assertEqual(self.listed(relay, "--listener", "slow")[0]["tls"], "TLSv1.3")
        relay.admin("sessions", "kill", "--listener", "slow")
        self.assertEqual(waiting.recv(100)[:9], b"421 4.3.2")
        wait_for(lambda: self.listed(relay, "--listener", "slow") == [], 20, relay.log_tail)

    def test_killed_during_a_commit_the_client_hears_what_became_of_its_message(self):
        if not SHIM.exists():
            skip(f"{SHIM} is not built")
        sink = self.sink()
        disk = self.opened(Disk(self.path("plan")))
        relay = self.relay({}, sink.next_hop, start=False)
        relay.environment = {"LD_PRELOAD": str(SHIM), "HEDWIG_DISK_ROOT": os.path.realpath(relay.folder) + "/spool",
                             "HEDWIG_DISK_PLAN": str(disk.path)}
        relay.start()
        client = self.opened(relay.smtp())
        client.ehlo()
        client.mail("alice@example.test")
        client.rcpt("bob@example.net")
        client.docmd("DATA")
        disk.set(HOLD, EVERY_SYNC)
        client.send(plain_message(subject="held").encode() + b"\r\n.\r\n")
        wait_for(lambda: disk.hits() > 0 and [one["state"] for one in self.listed(relay)] == ["commit"], 60, relay.log_tail)
        self.assertEqual(relay.admin("sessions", "kill", "--client", "127.0.0.1"), {"killed": 0, "after_commit": 1})
        self.assertEqual(relay.admin("sessions", "kill", "--client", "127.0.0.1"), {"killed": 0, "after_commit": 0}, "it is meant already")
        self.assertEqual([one["state"] for one in self.listed(relay)], ["commit"])
        disk.set()
        self.assertEqual(client.getreply()[0], 250)
        self.assertEqual(self.killed_line(client)[0], 421)
        self.assertEqual(sink.wait(relay=relay)[0].message["Subject"], "held")

    def test_killed_before_the_commit_the_message_is_not_taken(self):
        sink = self.sink()
        relay = self.two_listeners(next_hop=sink.next_hop)
        client = self.client(relay)
        client.mail("alice@example.test")
        client.rcpt("bob@example.net")
        client.docmd("DATA")
        client.send(plain_message(subject="cut").encode())
        wait_for(lambda: [one["state"] for one in self.listed(relay)] == ["data"], 20, relay.log_tail)
        relay.admin("sessions", "kill", "--listener", "open")
        self.assertEqual(self.killed_line(client)[0], 421)
        self.assertEqual(relay.submit(plain_message(subject="whole")), {})
        self.assertEqual([got.message["Subject"] for got in sink.wait(relay=relay)], ["whole"])
        self.assertEqual(relay.admin("status")["received"], 1)


class Traces(Clients):
    def trace(self, relay, *arguments):
        """hedwig-admin trace in the background; gives back a function for what it printed so far."""
        log = self.path("trace-{}".format(len(self.clients)))
        self.clients.append(log)
        with open(log, "wb") as out:
            process = subprocess.Popen([program("hedwig-admin"), "--socket", str(relay.socket), "trace", *arguments],
                                       stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

        def end():
            process.kill()
            process.wait()

        self.addCleanup(end)
        wait_for(lambda: b"is not shown" in log.read_bytes(), 20, lambda: log.read_text())
        return process, log.read_text

    def test_a_login_and_a_message_are_shown_without_secret_and_content(self):
        sink = self.sink()
        relay = self.two_listeners(next_hop=sink.next_hop)
        other = self.client(relay)
        process, text = self.trace(relay, "--listener", "users")
        client = self.client(relay, self.login_port)
        client.login("ann", PASSWORD)
        client.sendmail("ann@example.test", ["bob@example.net"], plain_message(subject="not for the operator"))
        client.docmd("NO\x1bSE")
        other.docmd("HELP")
        client.quit()
        wait_for(lambda: "the session ended: quit" in text(), 20, text)
        shown = text()
        for wanted in (r"-- at users, state greeting", r"S: 220 ", r"C: (?i:ehlo) client\.example\.test", r"S: 250-SIZE",
                       r"C: AUTH (PLAIN|LOGIN|SCRAM-SHA-256).*<\d+ octets hidden>", r"S: 235 ", r"C: (?i:mail) FROM:<ann@example\.test>",
                       r"C: (?i:rcpt) TO:<bob@example\.net>", r"S: 354 ", r"C: <message of \d+ octets>", r"S: 250 2\.0\.0 Ok: queued as",
                       r"C: <5 octets that are no command>", r"S: 500 ", r"C: (?i:quit)", r"S: 221 "):
            self.assertRegex(shown, r"(?m)^\d\d:\d\d:\d\d\.\d\d\d \d+ 127\.0\.0\.1:\d+ " + wanted)
        self.assertNotIn("operator", shown)
        self.assertNotIn("HELP", shown)
        self.assertNotIn("AGFubgBj", shown)  # base64 of the login
        self.assertNotIn("Y29ycmVjd", shown)
        self.assertNotIn("\x1b", shown)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30 * PATIENCE), 0)
        self.assertEqual(json.loads(self.http(relay, "GET", "/v1/traces")[1]), {"traces": []})
        self.assertEqual([one["event"] for one in relay.events() if one["event"] == "trace.begun"], ["trace.begun"])

    def test_a_user_is_traced_from_his_login_on_and_a_session_under_way_joins(self):
        relay = self.two_listeners()
        client = self.client(relay, self.login_port)
        _, of_user = self.trace(relay, "--user", "ann")
        _, of_client = self.trace(relay, "--client", "127.0.0.0/8")
        client.noop()
        wait_for(lambda: "C: noop" in of_client(), 20, of_client)
        client.login("ann", PASSWORD)
        client.docmd("NOOP", "later")
        wait_for(lambda: "NOOP later" in of_user() and "NOOP later" in of_client(), 20, lambda: of_user() + of_client())
        self.assertIn("EHLO client.example.test, user ann", of_user())
        self.assertNotIn("C: noop\n", of_user())

    def http(self, relay, method, target):
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(60 * PATIENCE)
            link.connect(str(relay.socket))
            link.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while piece := link.recv(65536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def test_the_api_refuses_what_it_cannot_do(self):
        relay = self.two_listeners()
        for method, target, status in (
                ("GET", "/v1/sessions", 200), ("POST", "/v1/sessions", 405), ("GET", "/v1/sessions?limit=0", 400),
                ("GET", "/v1/sessions?client=nonsense", 400), ("GET", "/v1/sessions?client=192.0.2.1/24", 400),
                ("GET", "/v1/sessions?colour=red", 400), ("GET", "/v1/sessions?cursor=x", 400), ("GET", "/v1/sessions/5", 404),
                ("GET", "/v1/sessions/5/kill", 405), ("POST", "/v1/sessions/5/kill", 404), ("POST", "/v1/sessions/x/kill", 400),
                ("POST", "/v1/sessions//kill", 400), ("POST", "/v1/sessions/kill", 400), ("POST", "/v1/sessions/kill?user=", 400),
                ("POST", "/v1/sessions/kill?user=nobody", 200), ("POST", "/v1/traces", 400), ("POST", "/v1/traces?user=", 400),
                ("POST", "/v1/traces?user=x&seconds=0", 400), ("POST", "/v1/traces?user=x&seconds=90000", 400),
                ("GET", "/v1/traces/1", 404), ("DELETE", "/v1/traces/1", 404), ("GET", "/v1/traces/x", 404),
                ("PUT", "/v1/traces", 405), ("POST", "/v1/traces?user=x&seconds=60", 200), ("GET", "/v1/traces/1?cursor=x", 400),
                ("GET", "/v1/traces/1?cursor=1", 200), ("PUT", "/v1/traces/1", 405), ("DELETE", "/v1/traces/1", 200)):
            got, body = self.http(relay, method, target)
            self.assertEqual(got, status, (method, target, body))
        for _ in range(8):
            self.assertEqual(self.http(relay, "POST", "/v1/traces?user=x")[0], 200)
        self.assertEqual(self.http(relay, "POST", "/v1/traces?user=x")[0], 503)

    def test_a_trace_ends_when_its_time_is_up(self):
        relay = self.two_listeners()
        process, text = self.trace(relay, "--client", "127.0.0.1", "--for", "1s")
        self.assertEqual(process.wait(60 * PATIENCE), 0)
        self.assertIn("its time is up", text())


class Many(Clients):
    COUNT = 400

    def test_many_sessions_are_listed_and_ended_while_others_are_served(self):
        relay = self.two_listeners()
        links = [self.opened(socket.create_connection((relay.address, self.login_port), timeout=60 * PATIENCE))
                 for _ in range(self.COUNT)]
        wait_for(lambda: relay.admin("status")["sessions"] == self.COUNT, 60, relay.log_tail)
        pages = relay.admin("sessions", "--all", as_json=False)
        self.assertEqual(pages.count(" users "), self.COUNT)
        served = threading.Event()

        def serve():
            with relay.smtp() as client:
                client.ehlo()
                while not served.is_set():
                    self.assertEqual(client.noop()[0], 250)

        thread = threading.Thread(target=serve)
        thread.start()
        done = relay.admin("sessions", "kill", "--listener", "users")
        served.set()
        thread.join(60 * PATIENCE)
        self.assertEqual(done, {"killed": self.COUNT, "after_commit": 0})
        for one in links:
            with one.makefile("rb") as lines:
                self.assertEqual([line[:3] for line in lines], [b"220", b"421"])


if __name__ == "__main__":
    main()
