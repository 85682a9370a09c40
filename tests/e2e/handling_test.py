# SPDX-License-Identifier: Apache-2.0
"""How a message is to be delivered, as its sender asks: MT-PRIORITY (RFC 6710), DELIVERBY (RFC 2852), FUTURERELEASE
(RFC 4865), REQUIRETLS (RFC 8689); with next hops that know them and others that do not."""
import datetime
import re
import socketserver
import ssl
import subprocess
import threading
import time

from hedwig_harness import STORES, Case, Nsd, host, main, make_certificate, plain_message, trusting, wait_for

USER, PASSWORD = "ann", "correct horse"
ONE_CONNECTION = {"server": {"smtp": {"min_idle": 1, "max_size": 1}}}


class Hop:
    """A next hop by hand: says these extensions, keeps what it was told, and holds its answers back while `gate` is shut.
    STARTTLS with a certificate; then `secure` extensions are said under TLS."""

    def __init__(self, extensions=(), certificate=None, secure=(), rcpt="250 2.1.5 ok"):
        hop = self
        self.said, self.messages = [], []
        self.rcpt = rcpt
        self.gate = threading.Event()
        self.gate.set()

        class Handler(socketserver.StreamRequestHandler):
            def say(self, *lines):
                self.wfile.write(b"".join(line.encode() + b"\r\n" for line in lines))
                self.wfile.flush()

            def extensions(self, tls):
                names = [*extensions, *(secure if tls else ()), *(["STARTTLS"] if certificate and not tls else ())]
                self.say("250-hop.example.net", *("250-" + name for name in names), "250 SIZE")

            def handle(self):
                tls, mail = False, ""
                self.say("220 hop.example.net ESMTP")
                while line := self.rfile.readline():
                    command = line.decode().strip()
                    hop.said.append(command)
                    verb = command.split()[0].upper()
                    if verb == "EHLO":
                        self.extensions(tls)
                    elif verb == "STARTTLS":
                        self.say("220 go")
                        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                        context.load_cert_chain(*certificate)
                        try:
                            self.request = context.wrap_socket(self.request, server_side=True)
                        except (ssl.SSLError, ConnectionError):
                            return
                        self.rfile, self.wfile, tls = self.request.makefile("rb"), self.request.makefile("wb"), True
                    elif verb == "MAIL":
                        mail = command
                        self.say("250 ok")
                    elif verb == "RCPT":
                        self.say(hop.rcpt if "alice" not in command else "250 ok")
                    elif verb == "DATA":
                        self.say("354 go")
                        data = b""
                        while (line := self.rfile.readline()) != b".\r\n" and line:
                            data += line
                        hop.gate.wait()
                        hop.messages.append((time.time(), mail, data.decode()))
                        self.say("250 2.0.0 taken")
                    elif verb == "QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 ok")

        self.server = socketserver.ThreadingTCPServer((host(2), 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def next_hop(self):
        return "%s:%d" % self.server.server_address

    @property
    def address(self):
        return self.server.server_address[0]

    def mails(self):
        return [line for line in self.said if line.upper().startswith("MAIL")]

    def wait(self, count, relay):
        wait_for(lambda: len(self.messages) >= count, 60, relay.log_tail)
        return self.messages

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


def submit(client, parameters, recipient="bob@example.net", subject="asked"):
    client.ehlo()
    code, answer = client.mail("alice@example.test", list(parameters))
    assert code == 250, answer
    code, answer = client.rcpt(recipient)
    assert code == 250, answer
    code, answer = client.data(plain_message("alice@example.test", recipient, subject=subject, body="secret words\r\n"))
    assert code == 250, answer


def action_and_status(report):
    return re.search(r"(?m)^Action: (\S+)", report).group(1), re.search(r"(?m)^Status: (\S+)", report).group(1)


class Handling(Case):
    def ask(self, relay, *parameters, **kwargs):
        with relay.smtp() as client:
            submit(client, parameters, **kwargs)

    def reports(self, hop, count, relay):
        wait_for(lambda: sum("FROM:<>" in mail for _, mail, _ in hop.messages) >= count, 60, relay.log_tail)
        return [data for _, mail, data in hop.messages if "FROM:<>" in mail]


class Priority(Handling):
    def test_it_goes_on_to_who_knows_it_and_outlives_a_restart(self):
        hop = self.opened(Hop(["MT-PRIORITY"], rcpt="450 4.2.0 later"))
        relay = self.relay({"retry": {"initial_delay": "1s", "jitter": 0.0}, "server": {"max_retries": 1000}}, hop.next_hop)
        self.ask(relay, "MT-PRIORITY=-7")
        relay.wait_delivery(status="deferred")
        relay.stop()
        hop.rcpt = "250 ok"
        relay.start()
        hop.wait(1, relay)
        self.assertEqual({re.search("MT-PRIORITY=.*", mail)[0] for mail in hop.mails()}, {"MT-PRIORITY=-7"})
        self.assertRegex(hop.messages[0][2], r"(?m)^\tpriority -7;\r?$")

    def test_others_are_not_told(self):
        hop = self.opened(Hop())
        relay = self.relay(next_hop=hop.next_hop)
        self.ask(relay, "MT-PRIORITY=4")
        self.assertNotIn("MT-PRIORITY", hop.wait(1, relay)[0][1])

    def test_a_report_is_as_urgent_as_what_it_is_about(self):
        hop = self.opened(Hop(["MT-PRIORITY"], rcpt="550 5.1.1 who?"))
        relay = self.relay(next_hop=hop.next_hop)
        self.ask(relay, "MT-PRIORITY=6")
        self.reports(hop, 1, relay)
        self.assertTrue(hop.mails()[-1].endswith(" MT-PRIORITY=6"))

    def test_what_is_more_urgent_goes_first_and_the_rest_goes_too(self):
        hop = self.opened(Hop(["MT-PRIORITY"]))
        relay = self.relay(ONE_CONNECTION, hop.next_hop)
        hop.gate.clear()
        self.ask(relay)
        wait_for(lambda: "DATA" in hop.said, 60, relay.log_tail)  # the only connection is busy
        for priority in (-5, -5, 0, 9, 9, 9):
            self.ask(relay, f"MT-PRIORITY={priority}")
        wait_for(lambda: sum(row["state"] == "active" for row in relay.queue()) == 7, 60, relay.log_tail)
        wait_for(lambda: relay.metric("hedwig_active_messages") == 7, 60, relay.log_tail)
        self.settled(relay)
        hop.gate.set()
        order = [re.search(r"MT-PRIORITY=(\S+)", mail)[1] for _, mail, _ in hop.wait(7, relay)[1:]]
        # Each fourth turn is that of the oldest.
        self.assertEqual(order, ["9", "9", "9", "-5", "0", "-5"])

    def settled(self, relay):
        """Every message has come to its destination's queue: nothing is on its way between the actors."""
        names = ("spooler", "dispatcher", "destination")
        for _ in range(3):
            wait_for(lambda: all(row["mailbox"] == 0 for row in relay.admin("actors")["actors"] if row["name"] in names), 60, relay.log_tail)


class DeliverBy(Handling):
    CONFIG = {"server": {"min_deliver_by": "1s"}, "retry": {"initial_delay": "1h"}}

    def test_it_comes_back_when_its_time_is_over(self):
        hop = self.opened(Hop(["DELIVERBY"], rcpt="450 4.2.0 later"))
        relay = self.relay(self.CONFIG, hop.next_hop)
        self.ask(relay, "BY=3;R")
        report, = self.reports(hop, 1, relay)
        self.assertEqual(action_and_status(report), ("failed", "5.4.7"))
        self.assertEqual(len([one for one in hop.said if "RCPT TO:<bob" in one]), 1, "it was not tried after that")
        wait_for(lambda: all(row["state"] == "bounced" for row in relay.queue()), 60, relay.log_tail)

    def test_its_time_goes_on_while_no_relay_runs(self):
        hop = self.opened(Hop(["DELIVERBY"], rcpt="450 4.2.0 later"))
        relay = self.relay(self.CONFIG, hop.next_hop)
        self.ask(relay, "BY=10;R")
        relay.wait_delivery(status="deferred")
        relay.stop()
        relay.start()
        hop.rcpt = "250 ok"
        report, = self.reports(hop, 1, relay)
        self.assertEqual(action_and_status(report), ("failed", "5.4.7"))

    def test_its_sender_is_told_when_its_time_is_over_and_it_is_tried_on(self):
        hop = self.opened(Hop(["DELIVERBY"], rcpt="450 4.2.0 later"))
        relay = self.relay(self.CONFIG, hop.next_hop)
        self.ask(relay, "BY=2;N")
        report, = self.reports(hop, 1, relay)
        self.assertEqual(action_and_status(report), ("delayed", "4.4.7"))
        self.assertRegex(report, r"(?m)^Deliver-By-Date: \w+, \d+ \w+ \d{4} ")
        wait_for(lambda: len(relay.queue()) == 1, 60, relay.log_tail)

    def test_it_goes_on_with_what_is_left(self):
        hop = self.opened(Hop(["DELIVERBY 1", "DSN"]))
        relay = self.relay(self.CONFIG, hop.next_hop)
        self.ask(relay, "BY=100;R")
        self.ask(relay, "BY=-5;N")
        hop.wait(2, relay)
        by = dict(reversed(re.search(r"BY=(-?\d+);(.*)", mail).groups()) for mail in hop.mails())
        self.assertIn(int(by["R"]), range(40, 101))
        self.assertLess(int(by["N"]), -4)
        wait_for(lambda: relay.queue() == [], 60, relay.log_tail)
        self.assertEqual(len(hop.messages), 2, "no report")

    def test_a_trace_is_told(self):
        hop = self.opened(Hop(["DELIVERBY", "DSN"]))
        relay = self.relay(self.CONFIG, hop.next_hop)
        self.ask(relay, "BY=100;RT")
        report, = self.reports(hop, 1, relay)
        self.assertEqual(action_and_status(report)[0], "relayed")

    def test_a_hop_without_it_gets_nothing_that_is_to_come_back(self):
        hop = self.opened(Hop())
        relay = self.relay(self.CONFIG, hop.next_hop)
        self.ask(relay, "BY=100;R")
        report, = self.reports(hop, 1, relay)
        self.assertEqual(action_and_status(report), ("failed", "5.3.3"))

    def test_of_a_hop_without_it_the_sender_is_told(self):
        hop = self.opened(Hop(["DSN"]))
        relay = self.relay(self.CONFIG, hop.next_hop)
        self.ask(relay, "BY=100;N")
        report, = self.reports(hop, 1, relay)
        self.assertEqual(action_and_status(report)[0], "relayed")
        self.assertNotIn("BY=", hop.mails()[0])


class Secured(Handling):
    """Relays that offer AUTH and TLS."""

    def secured(self, hop, config=None, **kwargs):
        certificate = make_certificate(self.folder)
        relay = self.relay(config, hop.next_hop, start=False, **kwargs)
        relay.config["server"]["auth"] = [{"username": USER, "password": PASSWORD}]
        relay.config["server"]["listeners"][0]["tls"] = {"cert_path": certificate[0], "key_path": certificate[1], "mode": "starttls"}
        relay.start()
        relay.trusted = certificate[0]
        return relay

    def ask(self, relay, *parameters, login=True, **kwargs):
        with relay.smtp() as client:
            client._host = "relay.example.test"
            client.starttls(context=trusting(relay.trusted))
            if login:
                client.login(USER, PASSWORD)
            submit(client, parameters, **kwargs)


class FutureRelease(Secured):
    def test_it_is_held_for_a_while_and_says_so(self):
        for store in STORES:
            with self.subTest(store=store):
                hop = self.opened(Hop())
                relay = self.secured(hop, store=store)
                before = int(time.time())
                self.ask(relay, "HOLDFOR=8")
                row, = relay.queue()
                self.assertEqual(row["state"], "deferred")
                self.assertIn("held by its sender until", row["last_error"])
                self.assertEqual(row["held_until"], row["due"])
                self.assertEqual(row["attempts"], 0)
                relay.stop()
                done = subprocess.run(relay.command("spool", "verify"), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=240)
                self.assertRegex(done.stdout, "^1 messages?, .*all is well")
                relay.start()
                arrived, _, _ = hop.wait(1, relay)[0]
                self.assertGreaterEqual(arrived, before + 8)
                wait_for(lambda: relay.queue() == [], 60, relay.log_tail)

    def test_until_a_time_and_an_operator_may_release_it_before(self):
        hop = self.opened(Hop())
        relay = self.secured(hop)
        until = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.ask(relay, f"HOLDUNTIL={until}")
        row, = relay.queue()
        self.assertEqual((row["held_until"], row["due"]), (until, until))
        self.assertEqual(hop.messages, [])
        relay.admin("queue", "retry", row["id"])
        hop.wait(1, relay)

    def test_its_limits_are_told_and_kept(self):
        relay = self.secured(self.opened(Hop()), {"server": {"max_hold": "1h"}})
        with relay.smtp() as client:
            client.ehlo()
            self.assertFalse(client.has_extn("futurerelease"))
            client._host = "relay.example.test"
            client.starttls(context=trusting(relay.trusted))
            client.login(USER, PASSWORD)
            client.ehlo()
            interval, latest = client.esmtp_features["futurerelease"].split()
            self.assertEqual(interval, "3600")
            self.assertRegex(latest, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            for parameter in ("HOLDFOR=3601", "HOLDUNTIL=2199-01-01T00:00:00Z"):
                code, answer = client.mail("alice@example.test", [parameter])
                self.assertEqual((code, answer[:5]), (501, b"5.5.4"))
            self.assertEqual(client.mail("alice@example.test", ["HOLDFOR=3600"])[0], 250)


class RequireTls(Secured):
    def run_with(self, hop, trusted):
        relay = self.secured(hop, {"outbound": {"ca_file": trusted}, "retry": {"initial_delay": "1h"}})
        self.ask(relay, "REQUIRETLS", "RET=FULL", login=False)
        return relay

    def refused(self, hop, trusted):
        relay = self.run_with(hop, trusted)
        report, = self.reports(hop, 1, relay)
        self.assertEqual(action_and_status(report), ("failed", "5.7.30"))
        self.assertNotIn("secret words", report)
        self.assertEqual(sum("bob" in one for one in hop.said), 0, "nothing of it was given away")

    def test_it_goes_over_verified_tls_to_who_keeps_it(self):
        certificate = make_certificate(self.folder, "hop.example.net", [host(2)])
        hop = self.opened(Hop(certificate=certificate, secure=["REQUIRETLS"]))
        relay = self.run_with(hop, certificate[0])
        self.assertTrue(hop.wait(1, relay)[0][1].endswith(" REQUIRETLS"))

    def test_a_hop_that_does_not_know_it_gets_nothing(self):
        certificate = make_certificate(self.folder, "hop.example.net", [host(2)])
        self.refused(self.opened(Hop(certificate=certificate)), certificate[0])

    def test_a_hop_without_tls_gets_nothing(self):
        self.refused(self.opened(Hop(["REQUIRETLS"])), make_certificate(self.folder, "hop.example.net")[0])

    def test_a_hop_with_the_certificate_of_somebody_else_gets_nothing(self):
        certificate = make_certificate(self.folder, "somebody.example.org")
        self.refused(self.opened(Hop(certificate=certificate, secure=["REQUIRETLS"])), certificate[0])

    def test_hosts_that_anybody_could_have_named_get_nothing(self):
        names = self.opened(Nsd(self.folder / "nsd", {"example.net": f"@ MX 10 mx\nmx A {host(2)}\n"}))
        hop = self.opened(Hop())
        relay = self.secured(hop, {"dns": {"servers": [f"{names.address}:{names.port}"]}, "server": {"outbound_local": True},
                                   "routes": [{"domains": ["example.test"], "to": [hop.next_hop]}]})
        self.ask(relay, "REQUIRETLS", login=False)
        self.assertIn("not protected by DNSSEC", relay.wait_delivery(recipient="bob@example.net", status="bounced")[0]["smtp_response"])
        report, = self.reports(hop, 1, relay)
        self.assertEqual(action_and_status(report), ("failed", "5.7.30"))

    def test_other_mail_to_the_same_hop_is_not_held_up(self):
        hop = self.opened(Hop())
        relay = self.run_with(hop, make_certificate(self.folder, "hop.example.net")[0])
        self.ask(relay, login=False, recipient="carol@example.net")
        wait_for(lambda: any("carol" in one for one in hop.said), 60, relay.log_tail)
        self.reports(hop, 1, relay)


if __name__ == "__main__":
    main()
