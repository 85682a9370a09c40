# SPDX-License-Identifier: Apache-2.0
"""The console against a running relay: each command, its effect on the mail, and the API underneath it."""
import contextlib
import http.client
import json
import os
import socket
import stat
import subprocess
import threading

from hedwig_harness import Case, NextHop, PATIENCE, STORES, free_port, host, main, plain_message, program, wait_for

PAUSED = {"outbound": {"paused": True}, "retry": {"initial_delay": "1h"}}


class OverUnix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30 * PATIENCE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class HostileHop(NextHop):
    """A next hop whose replies hold what no reply should: it refuses every recipient with `text` (octets)."""

    def __init__(self, text, address=None):
        self.text = text
        super().__init__(address)

    def talk(self, link):
        with link.makefile("rb") as lines:
            link.sendall(b"220 hop\r\n")
            for line in lines:
                verb = line[:4].upper()
                link.sendall(b"450 4.2.0 " + self.text + b"\r\n" if verb == b"RCPT" else
                             b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")


class Console(Case):
    def http(self, relay, method, target, headers=None, body=None):
        with contextlib.closing(OverUnix(relay.socket)) as link:  # an open one would hold a thread of the server
            link.request(method, target, body=body, headers=headers or {})
            answer = link.getresponse()
            return answer, answer.read()

    def submitted(self, relay, *recipients):
        """Ids of one message to each, as queue list has them."""
        for recipient in recipients:
            relay.submit(recipients=[recipient])
        return {one["first_recipient"]: one["id"] for one in relay.queue("--state", "all")}

    def states(self, relay):
        return {one["id"]: one["state"] for one in relay.queue("--state", "all")}

    def change(self, relay, verb, *ids):
        done = relay.admin("queue", verb, *ids, check=False)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


class Steering(Console):
    def test_hold_release_bounce_delete_and_resume(self):
        for store in STORES:
            with self.subTest(store=store):
                sink = self.sink()
                relay = self.relay(PAUSED, sink.next_hop, store=store)
                ids = self.submitted(relay, "go@example.net", "held@example.net", "back@example.net", "gone@example.net")
                self.assertEqual(set(self.states(relay).values()), {"queued"})
                self.assertEqual(self.change(relay, "hold", ids["held@example.net"]),
                                 (0, [{"id": ids["held@example.net"], "done": True, "when": "now"}], ""))
                self.change(relay, "bounce", ids["back@example.net"])
                self.change(relay, "delete", ids["gone@example.net"])
                # The bounce makes a notification, which waits like everything else.
                wait_for(lambda: sorted(self.states(relay).values()) == ["bounced", "held", "queued", "queued"], 20,
                         lambda: f"{self.states(relay)}\n{relay.log_tail()}")
                self.assertEqual(self.states(relay)[ids["held@example.net"]], "held")
                self.assertEqual(self.states(relay)[ids["back@example.net"]], "bounced")
                self.assertEqual(sink.seen, [])

                self.assertEqual(relay.admin("resume"), {"paused": False})
                got = {tuple(one.recipients): one for one in sink.wait(2, relay=relay)}
                self.assertEqual(set(got), {("go@example.net",), ("alice@example.test",)})
                report = got[("alice@example.test",)].data.decode()
                self.assertIn("Bounced by the operator", report)
                self.assertRegex(report, r"(?mi)^Final-Recipient: rfc822; ?back@example\.net")
                self.assertRegex(report, r"(?mi)^Status: 5\.7\.1")

                self.assertEqual(self.change(relay, "release", ids["held@example.net"])[1][0]["when"], "now")
                self.assertEqual(sink.wait(3, relay=relay)[2].recipients, ["held@example.net"])
                wait_for(lambda: relay.queue() == [], 20, relay.log_tail)
                self.assertEqual(relay.admin("status")["queue_depth"], 0)
                self.assertEqual([one["status"] for one in relay.deliveries(recipient="back@example.net")], ["bounced"])
                self.assertEqual(relay.deliveries(recipient="gone@example.net"), [])

    def test_what_the_console_did_survives_a_kill(self):
        for store in STORES:
            with self.subTest(store=store):
                sink = self.sink()
                relay = self.relay(PAUSED, sink.next_hop, store=store)
                ids = self.submitted(relay, "held@example.net", "gone@example.net", "stays@example.net")
                self.change(relay, "hold", ids["held@example.net"])
                self.change(relay, "delete", ids["gone@example.net"])
                relay.kill()
                relay.start()
                self.assertEqual(self.states(relay), {ids["held@example.net"]: "held", ids["stays@example.net"]: "queued"})

    def test_retry_tries_at_once_even_where_the_destination_rests(self):
        port = free_port()
        relay = self.relay({"retry": {"initial_delay": "1h"}, "outbound": {"breaker_failures": 1, "breaker_delay": "1h"}},
                           f"{host()}:{port}")
        relay.submit()
        relay.wait_delivery(status="deferred")
        message = wait_for(lambda: relay.queue("--state", "deferred"), 20, relay.log_tail)[0]
        wait_for(lambda: relay.admin("status")["destinations_resting"] == 1, 20, relay.log_tail)
        sink = self.sink(port=port)
        self.assertEqual(self.change(relay, "retry", message["id"])[:2],
                         (0, [{"id": message["id"], "done": True, "when": "now"}]))
        sink.wait(timeout=10, relay=relay)

    def test_pause_keeps_and_resume_lets_go(self):
        sink = self.sink()
        relay = self.relay(next_hop=sink.next_hop)
        self.assertEqual(relay.admin("pause"), {"paused": True})
        relay.submit()
        answer = self.change(relay, "retry", relay.queue()[0]["id"])[1]
        self.assertEqual(answer[0]["when"], "once deliveries are resumed")
        self.assertTrue(relay.admin("status")["paused"])
        self.assertIn("PAUSED", relay.admin("status", as_json=False))
        self.assertEqual(sink.seen, [])
        relay.admin("resume")
        sink.wait(relay=relay)

    def test_an_active_message_is_changed_after_its_attempt(self):
        gate = threading.Event()
        self.addCleanup(gate.set)

        class Slow(HostileHop):
            def talk(self, link):
                gate.wait(60 * PATIENCE)
                super().talk(link)

        for verb, state in (("hold", "held"), ("bounce", "bounced"), ("delete", None)):
            with self.subTest(verb=verb):
                gate.clear()
                hop = self.opened(Slow(b"later"))
                relay = self.relay({"retry": {"initial_delay": "1h"}}, hop.next_hop)
                relay.submit(sender="")
                message = wait_for(lambda: relay.queue(), 20, relay.log_tail)[0]
                self.assertEqual(message["state"], "active")
                self.assertEqual(self.change(relay, verb, message["id"])[:2],
                                 (0, [{"id": message["id"], "done": False, "when": "after the attempt that is under way"}]))
                self.assertEqual(self.change(relay, "release", message["id"])[0], 0 if verb == "hold" else 1)
                if verb == "hold":
                    self.change(relay, verb, message["id"])
                gate.set()
                expected = {message["id"]: state} if state else {}
                wait_for(lambda: self.states(relay) == expected, 20, lambda: f"{self.states(relay)}\n{relay.log_tail()}")

    def test_refuses_with_a_reason_what_makes_no_sense(self):
        relay = self.relay(PAUSED, f"{host()}:{free_port()}")
        relay.submit(sender="")
        [message] = relay.queue()

        def refused(verb, status=409):
            answer, body = self.http(relay, "POST", f"/v1/queue/{message['id']}/{verb}")
            self.assertEqual(answer.status, status, (verb, body))
            return json.loads(body)["error"]

        self.assertIn("not held", refused("release"))
        self.change(relay, "hold", message["id"])
        self.assertIn("release it", refused("retry"))
        self.assertEqual(self.change(relay, "hold", message["id"])[1][0]["when"], "it was held already")
        self.change(relay, "bounce", message["id"])
        wait_for(lambda: self.states(relay) == {message["id"]: "bounced"}, 20, relay.log_tail)
        self.assertEqual(relay.queue(), [], "what has failed is not part of the default list")
        for verb in ("hold", "release", "retry", "bounce"):
            self.assertIn("failed for good", refused(verb))
        self.assertEqual(self.change(relay, "delete", message["id"])[0], 0)
        self.assertIn("no such message", refused("delete", 404))
        self.assertEqual(relay.admin("status")["queue_depth"], 0)

    def test_several_ids_and_standard_input(self):
        relay = self.relay(PAUSED, f"{host()}:{free_port()}")
        ids = sorted(self.submitted(relay, *(f"r{i}@example.net" for i in range(4))).values())
        status, answers, errors = self.change(relay, "hold", ids[0], "0" * 26, "nonsense", ids[1])
        self.assertEqual(status, 1)
        self.assertEqual([one.get("id") for one in answers], [ids[0], None, None, ids[1]])
        self.assertEqual(len(errors.splitlines()), 2)
        done = subprocess.run([program("hedwig-admin"), "--socket", relay.socket, "queue", "hold", "-"], text=True,
                              input="\n".join(ids[2:]), capture_output=True, timeout=30 * PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(set(self.states(relay).values()), {"held"})

    def test_many_changes_of_one_message_at_once_leave_it_whole(self):
        for store in STORES:
            with self.subTest(store=store):
                sink = self.sink()
                relay = self.relay({"admin": {"max_connections": 16}}, sink.next_hop, store=store)
                relay.admin("pause")
                ids = list(self.submitted(relay, *(f"r{i}@example.net" for i in range(5))).values())

                def hammer(number):
                    for turn in range(10):
                        verb = ("hold", "release", "retry", "show")[(number + turn) % 4]
                        for one in ids:
                            path = f"/v1/queue/{one}"
                            self.http(relay, "GET" if verb == "show" else "POST", path if verb == "show" else f"{path}/{verb}")

                threads = [threading.Thread(target=hammer, args=(number,)) for number in range(6)]
                for one in threads:
                    one.start()
                relay.admin("resume")  # in the midst of it
                for one in threads:
                    one.join()
                relay.admin("queue", "release", *ids, check=False)
                sink.wait(5, relay=relay)
                wait_for(lambda: relay.queue() == [], 20, relay.log_tail)
                self.assertEqual(sorted(one.recipients for one in sink.messages), [[f"r{i}@example.net"] for i in range(5)])
                self.assertNotIn("message.changed-elsewhere", relay.log_text())


class Looking(Console):
    def test_status_and_actors(self):
        sink = self.sink()
        relay = self.relay(next_hop=sink.next_hop)
        with relay.smtp() as client:
            client.ehlo()
            status = relay.admin("status")
            actors = relay.admin("actors")["actors"]
            self.assertEqual((status["sessions"], status["ready"], status["pid"]), (1, True, relay.process.pid))
            self.assertEqual([(one["state"], one["sessions"]) for one in status["listeners"]], [("listening", 1)])
            self.assertEqual(status["store"]["health"], "ok")
            self.assertGreater(status["memory"]["resident_bytes"], 1 << 20)
            self.assertGreater(status["memory"]["receiving_limit"], 0)
            names = {one["id"]: one["name"] for one in actors}
            self.assertTrue({"supervisor", "listener", "session", "spooler", "dispatcher", "bouncer", "retry-timer"} <=
                            {name.replace("_", "-") for name in names.values()}, names)
            session = next(one for one in actors if one["name"] == "session")
            self.assertEqual(names[session["parent"]], "listener")
            tree = relay.admin("actors", as_json=False)
            self.assertRegex(tree, r"(?m)^ACTOR +STATE +MAILBOX +HANDLED +BUSY +RESTARTS$")
            self.assertRegex(tree, r"(?m)^supervisor .*running")
            self.assertRegex(tree, r"(?m)^│? +[└├]─ session 127")
        relay.submit()
        sink.wait(relay=relay)
        after = relay.admin("status")
        self.assertEqual((after["received"], after["store"]["commits"] > 0), (1, True))
        self.assertGreater(after["store"]["mean_accept_seconds"], 0)
        for times in (after["store"]["commit_seconds"], after["store"]["accept_seconds"]):
            self.assertGreater(times["p50"], 0)
            self.assertGreaterEqual(times["p99"], times["p50"])
        self.assertGreater(after["store"]["committed_bytes"], 0)
        text = relay.admin("status", as_json=False)
        self.assertRegex(text, r"(?m)^state +ready$")
        self.assertRegex(text, r"(?m)^since start +1 message received; recipients: 1 delivered")

    def test_actors_beyond_twenty_are_summed_up(self):
        relay = self.relay(next_hop=f"{host()}:{free_port()}")
        clients = [self.opened(relay.smtp()) for _ in range(25)]
        self.assertEqual(len(clients), relay.admin("status")["sessions"])
        self.assertIn("5 more: session", relay.admin("actors", as_json=False))
        self.assertEqual(relay.admin("actors", "--all", as_json=False).count(" session "), 25)

    def test_list_in_pages(self):
        for store in STORES:
            with self.subTest(store=store):
                relay = self.relay(PAUSED, f"{host()}:{free_port()}", store=store)
                ids = list(self.submitted(relay, *(f"r{i}@example.net" for i in range(7))).values())
                seen, cursor = [], ""
                for _ in range(8):
                    page = relay.admin("queue", "list", "--limit", "2", *(["--cursor", cursor] if cursor else []))
                    self.assertLessEqual(len(page["messages"]), 2)
                    seen += [one["id"] for one in page["messages"]]
                    cursor = page["cursor"]
                    if not cursor:
                        break
                self.assertEqual(seen, sorted(ids))
                pages = relay.admin("queue", "list", "--limit", "2", "--all", check=False)
                self.assertEqual([one["id"] for line in pages.stdout.splitlines() for one in json.loads(line)["messages"]], seen)
                text = relay.admin("queue", "list", "--limit", "3", as_json=False)
                self.assertIn("more: --cursor ", text)
                self.assertEqual(relay.admin("queue", "list", "--state", "held", as_json=False), "no message\n")

    def test_show_tells_the_last_reply_of_each_recipient(self):
        sink = self.sink(on_rcpt=lambda address, sink: "450 4.2.0 greylisted" if address.startswith("slow") else None)
        relay = self.relay({"retry": {"initial_delay": "1h", "jitter": 0.0}}, sink.next_hop)
        relay.submit(plain_message(subject="a subject"), recipients=["fast@example.net", "slow@example.net"])
        [message] = wait_for(lambda: relay.queue("--state", "deferred"), 20, relay.log_tail)
        wait_for(lambda: relay.admin("queue", "show", message["id"])["state"] == "deferred", 20, relay.log_tail)
        shown = relay.admin("queue", "show", message["id"])
        self.assertEqual((shown["subject"], shown["from"], shown["protocol"]), ("a subject", "alice@example.test", "ESMTP"))
        fast, slow = shown["recipient_states"]
        self.assertEqual((fast["address"], fast["status"], fast["last_code"]), ("fast@example.net", "delivered", 250))
        self.assertEqual((slow["address"], slow["status"], slow["last_code"]), ("slow@example.net", "pending", 450))
        self.assertIn("greylisted", slow["last_text"])
        text = relay.admin("queue", "show", message["id"], as_json=False)
        self.assertRegex(text, r"(?m)^slow@example\.net +pending +1 +in (?:5\dm|1h)[ \dm]*.*450 4\.2\.0 .*greylisted")

    def test_nothing_a_peer_says_reaches_the_terminal_or_breaks_the_json(self):
        hop = self.opened(HostileHop(b"\x1b[31mred\xff\xfe \x07\xc2\x9b2J \xe2\x80\xae \"q\" \\ </script>"))
        relay = self.relay({"retry": {"initial_delay": "1h"}}, hop.next_hop)
        with relay.smtp() as client:
            client.docmd("EHLO", "evil\x1bclient")
            client.ehlo("client.example.test")
            client.sendmail("alice@example.test", ["bob@example.net"],
                            plain_message(subject="x").encode().replace(b"Subject: x", b"Subject: \x1b]0;pwn\x07 \xff\xc3"))
        relay.wait_delivery()
        [message] = wait_for(lambda: relay.queue("--state", "deferred"), 20, relay.log_tail)
        for target in ("/v1/queue", f"/v1/queue/{message['id']}", "/v1/actors", "/v1/status"):
            body = self.http(relay, "GET", target)[1]
            json.loads(body.decode("utf-8", errors="strict"))
        for arguments in (("queue", "list"), ("queue", "show", message["id"]), ("actors",), ("status",)):
            text = relay.admin(*arguments, as_json=False)
            for evil in ("\x1b", "\x07", "\x9b", "\u202e"):
                self.assertNotIn(evil, text)
        self.assertIn("red", relay.admin("queue", "show", message["id"], as_json=False))

    def test_log_level(self):
        relay = self.relay(next_hop=f"{host()}:{free_port()}")
        before = relay.admin("log-level")["filter"]
        self.assertEqual(relay.admin("log-level", "info,delivery=debug")["filter"], "info,delivery=debug")
        self.assertEqual(relay.admin("log-level", as_json=False), "info,delivery=debug\n")
        done = relay.admin("log-level", "loud", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("loud", done.stderr)
        self.assertEqual(relay.admin("log-level")["filter"], "info,delivery=debug")
        relay.admin("log-level", before)


class Failures(Console):
    def test_exit_status_and_messages(self):
        relay = self.relay(next_hop=f"{host()}:{free_port()}")

        def ended(*arguments, place=None):
            done = subprocess.run([program("hedwig-admin"), *(["--socket", place] if place else []), *arguments],
                                  capture_output=True, text=True, timeout=60 * PATIENCE, stdin=subprocess.DEVNULL,
                                  env={**os.environ, "HEDWIG_ADMIN_SOCKET": str(relay.socket)})
            return done.returncode, done.stdout, done.stderr

        self.assertEqual(ended("status")[0], 0, "the socket is found by HEDWIG_ADMIN_SOCKET")
        self.assertEqual(ended("--help")[0], 0)
        self.assertIn("usage:", ended("--help")[1])
        self.assertRegex(ended("--version")[1], r"^hedwig-admin \d")
        for wrong in ([], ["nonsense"], ["queue", "show"], ["queue", "list", "--state", "lost"], ["--socket"], ["--url", "x", "status"]):
            status, out, err = ended(*wrong)
            self.assertEqual((status, out), (2, ""), wrong)
            self.assertIn("--help", err)
        status, out, err = ended("status", place=str(self.folder / "none.sock"))
        self.assertEqual((status, out), (1, ""))
        self.assertIn("is the relay running", err)
        status, out, err = ended("queue", "show", "0" * 26)
        self.assertEqual((status, out), (1, ""))
        self.assertIn("no such message", err)
        self.assertEqual(ended("queue", "show", "../status")[0], 1)
        dead = self.folder / "dead.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(dead))
        self.assertIn("is no socket", ended("status", place=str(dead.parent))[2])
        self.assertIn("nobody listens", ended("status", place=str(dead))[2])
        self.assertEqual(stat.S_IMODE(os.stat(relay.socket).st_mode), 0o660)

    def test_over_tcp(self):
        port = free_port()
        relay = self.relay({"admin": {"bind": f"{host()}:{port}"}}, f"{host()}:{free_port()}")
        done = subprocess.run([program("hedwig-admin"), "--url", f"http://{host()}:{port}", "--json", "status"],
                              capture_output=True, text=True, timeout=30 * PATIENCE)
        self.assertEqual(json.loads(done.stdout)["pid"], relay.process.pid)

    def test_the_api_answers_wrong_requests_with_reasons(self):
        relay = self.relay(next_hop=f"{host()}:{free_port()}")
        known = "0" * 26
        for method, target, status in (
                ("GET", "/v1/nothing", 404), ("GET", "/v1/queueX", 404), ("GET", "/", 404), ("POST", f"/v1/queue/{known}/fly", 404),
                ("POST", f"/v1/queue/{known}/hold/x", 404), ("GET", f"/v1/queue/{known}", 404), ("DELETE", f"/v1/queue/{known}", 404),
                ("POST", "/v1/status", 405), ("GET", "/v1/pause", 405), ("DELETE", "/v1/log-level", 405), ("PUT", "/v1/queue", 405),
                ("GET", f"/v1/queue/{known}/hold", 405), ("POST", "/metrics", 405), ("POST", "/healthz", 405),
                ("GET", "/v1/queue/short", 400), ("GET", "/v1/queue/", 400), ("GET", "/v1/queue?limit=0", 400),
                ("GET", "/v1/queue?limit=1001", 400), ("GET", "/v1/queue?limit=5x", 400), ("GET", "/v1/queue?limit=-1", 400),
                ("GET", "/v1/queue?state=lost", 400), ("GET", "/v1/queue?cursor=xyz", 400), ("GET", "/v1/queue?cursor=" + "00" * 65, 400),
                ("GET", "/v1/queue?colour=red", 400), ("GET", "/v1/status?x=1", 400), ("POST", "/v1/log-level", 400),
                ("POST", "/v1/log-level?filter=loud", 400), ("GET", "/v1/queue/%00%ff", 400), ("GET", "/v1/status", 200),
                ("GET", "/healthz", 200), ("GET", "/readyz", 200), ("GET", "/metrics", 200)):
            answer, body = self.http(relay, method, target)
            self.assertEqual(answer.status, status, (method, target, body))
            if status >= 400:
                self.assertTrue(json.loads(body)["error"], (method, target))
            if status == 405:
                self.assertTrue(answer.headers["Allow"])

    def test_head_has_the_length_and_no_body(self):
        relay = self.relay(next_hop=f"{host()}:{free_port()}")
        link = OverUnix(relay.socket)
        self.addCleanup(link.close)
        for target in ("/v1/log-level", "/healthz", "/v1/queue"):
            link.request("GET", target)
            full = link.getresponse().read()
            link.request("HEAD", target)
            answer = link.getresponse()
            self.assertEqual((answer.status, answer.read(), int(answer.headers["Content-Length"])), (200, b"", len(full)))

    def test_bodies_are_skipped_up_to_a_limit_and_web_pages_are_refused(self):
        relay = self.relay(next_hop=f"{host()}:{free_port()}")
        link = OverUnix(relay.socket)
        self.addCleanup(link.close)
        for _ in range(2):  # the second one over the same connection, after the body of the first
            link.request("POST", "/v1/pause", body=b"x" * 1000)
            self.assertEqual(json.loads(link.getresponse().read()), {"paused": True})
        self.assertEqual(self.http(relay, "POST", "/v1/pause", body=b"x" * 70_000)[0].status, 413)
        self.assertEqual(self.http(relay, "POST", "/v1/resume", headers={"Origin": "http://evil.example"})[0].status, 403)
        self.assertTrue(relay.admin("status")["paused"])

    def test_an_endless_header_is_cut_off(self):
        relay = self.relay(next_hop=f"{host()}:{free_port()}")
        with socket.create_connection((relay.address, relay.metrics_port), timeout=30 * PATIENCE) as link:
            sent = 0
            link.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
            with self.assertRaises(OSError):
                while sent < 64 << 20:
                    sent += link.send(b"X-A: " + b"a" * 4000 + b"\r\n")
        self.assertLess(sent, 16 << 20)
        self.assertEqual(relay.http("/healthz", relay.health_port)[0], 200)

    def test_a_socket_in_use_is_not_taken_from_its_relay(self):
        first = self.relay(next_hop=f"{host()}:{free_port()}")
        second = self.relay({"admin": {"socket": str(first.socket)}}, f"{host()}:{free_port()}", start=False)
        second.spawn()
        status = second.process.wait(30 * PATIENCE)
        second.process = None  # it ended by itself, and that is what it should do
        self.assertNotEqual(status, 0)
        self.assertIn("a relay that runs listens there", second.log_text())
        self.assertEqual(first.admin("status")["pid"], first.process.pid)


if __name__ == "__main__":
    main()
