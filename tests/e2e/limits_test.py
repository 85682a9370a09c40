# SPDX-License-Identifier: Apache-2.0
"""Limits that a client or a next hop runs into: errors, logins and hops of a session, the patience after the final dot;
the warning that mail is late; a port below 1024."""
import datetime
import json
import os
import re
import shutil
import smtplib
import threading

from hedwig_harness import (PLUGINS, ROOT, Case, NextHop, free_port, listening, main, need_root, plain_message, program,
                            skip, wait_for)

FAST = {"retry": {"initial_delay": "1s", "max_delay": "1s", "jitter": 0.0}}


class OfASession(Case):
    def ends_with_421(self, client):
        """The last command got 421 and then the connection ended."""
        self.assertRaises(smtplib.SMTPServerDisconnected, client.noop)

    def test_so_many_errors_and_the_client_is_sent_away(self):
        relay = self.relay({"server": {"max_errors": 3}})
        with relay.smtp() as client:
            client.ehlo()
            self.assertEqual([client.docmd("NONSENSE")[0] for _ in range(2)], [500, 500])
            self.assertEqual(client.noop()[0], 250, "what is well does not count")
            code, text = client.docmd("MORE NONSENSE")
            if code != 421:
                code, text = client.docmd("AND MORE")
            self.assertEqual((code, text[:5]), (421, b"4.7.0"))
            self.ends_with_421(client)
        self.assertEqual(relay.submit(), {}, "the next one is served")

    def test_so_many_failed_logins_and_the_client_is_sent_away(self):
        relay = self.relay(start=False)
        relay.write_config({"server": {"max_auth_failures": 2, "auth": [{"username": "ann", "password": "right"}],
                                       "listeners": [{"addr": f"{relay.address}:{relay.port}", "allow_auth_in_clear": True}]}})
        relay.start()
        with relay.smtp() as client:
            client.ehlo()
            answers = []
            while not answers or answers[-1] != 421:
                answers.append(client.docmd("AUTH", "PLAIN AGFubgB3cm9uZw==")[0])  # ann, wrong
                self.assertLess(len(answers), 5, answers)
            self.assertEqual(answers[0], 535)
            self.assertLessEqual(len(answers), 3)
            self.ends_with_421(client)
        with relay.smtp() as client:
            client.ehlo()
            self.assertEqual(client.docmd("AUTH", "PLAIN AGFubgByaWdodA==")[0], 235)

    def test_bare_line_ends_are_refused_or_made_line_ends_as_the_listener_says(self):
        sink = self.sink()
        relay = self.relay(next_hop=sink.next_hop, start=False)
        lax = free_port(relay.address)
        relay.config["server"]["listeners"].append({"addr": f"{relay.address}:{lax}", "line_endings": "normalize"})
        relay.start()
        wait_for(lambda: listening(relay.address, lax), 20, relay.log_tail)
        answers = []
        for port in (relay.port, lax):
            with relay.smtp(port) as client:
                client.ehlo()
                client.mail("alice@example.test")
                client.rcpt("bob@example.net")
                client.docmd("DATA")
                client.send(b"Subject: bare\r\n\r\none\ntwo\rthree\n.\nfour\r\n.\r\n")
                answers.append(client.getreply()[0])
        self.assertEqual(answers, [550, 250])
        self.assertTrue(sink.wait(relay=relay)[0].data.endswith(b"\r\n\r\none\r\ntwo\r\nthree\r\n.\r\nfour\r\n"))

    def test_a_message_with_too_many_hops_is_refused_as_a_loop(self):
        sink = self.sink()
        relay = self.relay({"server": {"max_received_fields": 10}}, sink.next_hop)
        hop = "Received: from a.example by b.example; Mon, 01 Jan 2024 00:00:00 +0000\r\n"
        self.assertEqual(relay.submit(hop * 9 + plain_message(subject="far")), {})
        with self.assertRaises(smtplib.SMTPDataError) as caught:
            relay.submit(hop * 11 + plain_message(subject="loops"))
        self.assertEqual((caught.exception.smtp_code, caught.exception.smtp_error[:5]), (554, b"5.4.6"))
        self.assertEqual([got.message["Subject"] for got in sink.wait(relay=relay)], ["far"])


class SilentNextHop(NextHop):
    """Takes everything and says nothing after the final dot, as long as `silent` is set."""

    def __init__(self, address):
        self.silent, self.dots = True, 0
        super().__init__(address)

    def talk(self, connection):
        with connection.makefile("rwb") as stream:
            def say(text):
                stream.write(text + b"\r\n")
                stream.flush()

            say(b"220 sink.example.net")
            for line in stream:
                if not line.upper().startswith(b"DATA"):
                    say(b"221 bye" if line.upper().startswith(b"QUIT") else b"250 ok")
                    continue
                say(b"354 go on")
                for part in stream:
                    if part == b".\r\n":
                        break
                self.dots += 1
                if self.silent:
                    stream.read(1)  # until the relay hangs up
                    return
                say(b"250 taken")


class OfANextHop(Case):
    def test_silence_after_the_final_dot_is_unknown_and_tried_again(self):
        relay = self.relay(start=False)
        hop = self.opened(SilentNextHop(relay.address))
        relay.write_config({**FAST, "routes": [{"domains": ["*"], "to": [hop.next_hop]}], "outbound": {"final_timeout": "2s"}})
        relay.start()
        relay.submit()
        relay.wait_delivery(status="deferred", timeout=60)
        self.assertGreaterEqual(hop.dots, 1)
        wait_for(lambda: relay.metric("hedwig_outcomes_unknown_total") >= 1, 20, relay.log_tail)
        hop.silent = False
        relay.wait_delivery(status="delivered", timeout=60)
        wait_for(lambda: not relay.queue(), 20, relay.log_tail)


class LateMail(Case):
    def test_the_sender_is_told_once_that_mail_is_late(self):
        accept = threading.Event()
        sink = self.sink(on_rcpt=lambda address, _: "450 4.2.0 not yet" if address.startswith("bob") and not accept.is_set() else None)
        relay = self.relay({**FAST, "dsn": {"delay_warning": "1h"}, "server": {"max_retries": 1000}}, sink.next_hop, start=False,
                           store="fs")
        # Two hours old: a message of Hedwig 0.10 says itself when it was queued.
        queued = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        (relay.spool / "queued").mkdir(parents=True)
        head = {"message_id": "01JZ0000000000000000000001", "from": "<alice@example.test>", "to": ["<bob@example.net>"],
                "queued_at": queued}
        (relay.spool / "queued" / "01JZ0000000000000000000001.json").write_bytes(
            b"HEDWIG1 " + json.dumps(head).encode() + b"\nSubject: slow\r\n\r\nbody\r\n")
        relay.start()
        report = sink.wait(1, 60, relay)[0]
        self.assertEqual((report.sender, report.recipients), ("", ["alice@example.test"]))
        self.assertRegex(report.data.decode(), r"(?m)^Action: delayed\r?$")
        self.assertRegex(report.data.decode(), r"(?m)^Status: 4\.2\.0")
        tries = len(relay.deliveries(recipient="bob@example.net"))
        wait_for(lambda: len(relay.deliveries(recipient="bob@example.net")) >= tries + 3, 60, relay.log_tail)
        relay.submit(recipients=["carol@example.net"])
        accept.set()
        got = sink.wait(3, 60, relay)
        self.assertEqual(sorted(got_.recipients[0] for got_ in got), ["alice@example.test", "bob@example.net", "carol@example.net"])


class LowPort(Case):
    def test_a_user_of_its_own_binds_port_25_with_the_capability_of_the_unit_and_not_without(self):
        need_root("changing the user")
        unit = (ROOT / "config" / "hedwig.service").read_text()
        capability, = set(re.findall(r"(?m)^(?:AmbientCapabilities|CapabilityBoundingSet)=(.*)$", unit))
        self.assertEqual(capability, "CAP_NET_BIND_SERVICE")
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as first:
            if int(first.read()) <= 25:
                skip("everyone may bind port 25 here")
        relay = self.relay({"plugins": {"directories": [str(shutil.copytree(PLUGINS, self.path("plugins")))]}}, start=False)
        relay.executable = shutil.copy(program("hedwig"), self.path("hedwig"))
        relay.port = 25
        relay.write_config({"server": {"listeners": [{"addr": f"{relay.address}:25"}]}})
        relay.spool.mkdir(parents=True)
        self.folder.chmod(0o755)
        for path in (relay.folder, relay.spool):
            os.chown(path, 65534, 65534)
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
        only = "+net_bind_service"
        relay.spawn([*user, "--bounding-set=-all", "--"])
        relay.ended(timeout=60, expect=1)
        self.assertRegex(relay.log_text(), "Permission denied")
        relay.start(wrapper=[*user, f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set=-all,{only}", "--"])
        self.assertEqual(relay.submit(), {})


if __name__ == "__main__":
    main()
