# SPDX-License-Identifier: Apache-2.0
"""filter-milter with milters by hand: all of the protocol, and what breaks it."""
import smtplib

from hedwig_harness import Case, body_of, free_port, host, main, plain_message, wait_for
from milter_peers import (LEADING_SPACE, NO_BODY, NO_CONNECT, NO_DATA, NO_EOH, NO_HEADERS, NO_HELO, NO_RCPT, SILENT_BODY,
                          SILENT_HEADER, SKIP, Milter, numbered, text)

TEXT = "Subject: given\r\nX-Old: one\r\nX-Old: two\r\nFrom: <alice@example.test>\r\nX-Fold: a\r\n b\r\n\r\nHello.\r\n"


class FilterMilter(Case):
    def milter(self, *args, **kwargs):
        return self.opened(Milter(*args, **kwargs))

    def start(self, *milters, **settings):
        self.hop = self.sink()
        entries = [{"address": getattr(one, "address", one), "command_timeout": "10s", **settings} for one in milters]
        return self.relay({"filters": [{"use": "milter", "hostname": "relay.example.test", "milter": entries}]},
                          next_hop=self.hop.next_hop)

    def delivered(self, relay, count=1, message=TEXT, **kwargs):
        relay.submit(message, **kwargs)
        return self.hop.wait(count, relay=relay)[-1]

    def failure(self, relay, message=TEXT, **kwargs):
        """The code and text of the refusal of a message, at whichever command."""
        try:
            relay.submit(message, **kwargs)
        except smtplib.SMTPRecipientsRefused as error:
            return list(error.recipients.values())[0]
        except smtplib.SMTPResponseException as error:
            return error.smtp_code, error.smtp_error
        self.fail("the message was taken")

    # the protocol

    def test_every_command_comes_in_order_with_its_macros(self):
        milter = self.milter()
        relay = self.start(milter)
        relay.submit(TEXT, recipients=["bob@example.net", "carol@example.net"])
        wait_for(lambda: milter.letters().endswith("K"), 20, lambda: f"the end of the client: {milter.letters()}")
        self.assertEqual(milter.offered, [(6, 0xFF, 0x1FF7FF)])
        self.assertRegex(milter.letters(), "^CHMRRTL+NBEK$")
        said = {kind: data for kind, data in milter.seen}
        self.assertEqual(said["C"], b"[127.0.0.1]\x004\x00\x00" + b"127.0.0.1\x00")
        self.assertEqual(said["H"], b"client.example.test\0")
        self.assertTrue(said["M"].startswith(b"<alice@example.test>\0"), said["M"])
        self.assertEqual([data for kind, data in milter.seen if kind == "R"], [b"<bob@example.net>\0", b"<carol@example.net>\0"])
        fields = [data.rstrip(b"\0").split(b"\0") for kind, data in milter.seen if kind == "L"]
        self.assertIn([b"X-Fold", b"a\n b"], fields)
        self.assertNotIn(b"Received", [field[0] for field in fields])
        self.assertEqual(said["B"], b"Hello.\r\n")
        self.assertEqual(milter.macros["C"]["j"], "relay.example.test")
        self.assertEqual(milter.macros["C"]["{client_addr}"], "127.0.0.1")
        self.assertEqual(milter.macros["R"]["{rcpt_addr}"], "carol@example.net")
        accepted, = (one for one in relay.events() if one.get("event") == "message.accepted")
        self.assertEqual(milter.macros["E"]["i"], accepted["id"])

    def test_all_changes_are_applied_in_order(self):
        changes = [("h", text("X-Added", "at the end")), ("i", numbered(0, "X-Top", "first\n\tfolded")),
                   ("m", numbered(2, "x-old", "new")), ("m", numbered(1, "X-Old", "")), ("m", numbered(1, "X-Absent", "made")),
                   ("p", b""), ("+", text("<carol@example.net>")), ("2", text("<dora@example.net>", "NOTIFY=NEVER")),
                   ("-", text("<bob@example.net>")), ("e", text("<other@example.test>", "SIZE=1")), ("b", b"another "), ("b", b"body\r\n"), ("c",)]
        relay = self.start(self.milter({"E": changes}))
        received = self.delivered(relay)
        self.assertTrue(received.data.startswith(b"X-Top: first\r\n\tfolded\r\nReceived:"), received.data[:200])
        message = received.message
        self.assertEqual((message.get_all("X-Old"), message["X-Added"], message["X-Absent"]), (["new"], "at the end", "made"))
        self.assertEqual(body_of(received.data), b"another body\r\n")
        self.assertEqual(received.sender, "other@example.test")
        wait_for(lambda: len(self.hop.messages) == 2 or len(received.recipients) == 2, 20, relay.log_tail)
        self.assertEqual(sorted(name for one in self.hop.messages for name in one.recipients), ["carol@example.net", "dora@example.net"])

    def test_what_a_milter_does_not_want_is_not_sent(self):
        lean = self.milter(steps=NO_CONNECT | NO_HELO | NO_RCPT | NO_HEADERS | NO_EOH | NO_DATA | NO_BODY)
        quiet = self.milter({"B": [("s",)]}, steps=SILENT_HEADER | SKIP | LEADING_SPACE, silent="L")
        mute = self.milter(steps=SILENT_BODY, silent="B")
        old = self.milter(version=2)
        relay = self.start(lean, quiet, mute, old)
        self.delivered(relay, message=TEXT + "x" * 70 + "\r\n" * 200_000)
        wait_for(lambda: quiet.letters().endswith("K") and old.letters().endswith("Q"), 20, "the end of the client")
        self.assertEqual(lean.letters(), "MEK")
        self.assertRegex(quiet.letters(), "^CHMRTL+NBEK$")
        self.assertIn(("L", b"Subject\0 given\0"), quiet.seen)
        self.assertRegex(mute.letters(), "^CHMRTL+NB{7,}EK$")
        self.assertGreater(sum(len(data) for kind, data in mute.seen if kind == "B"), 400_000)
        self.assertRegex(old.letters(), "^CHMRL+NB+EQ$")

    def test_refusals_reach_the_client(self):
        milter = self.milter({"R": lambda link, data, _: link.put(*{
            b"<y@example.net>\0": ("y", b"554-5.7.9 first\r\n554 5.7.9 second\xff\0"), b"<t@example.net>\0": ("t",),
            b"<r@example.net>\0": ("r",)}.get(data, ("c",)))})
        relay = self.start(milter)
        with relay.smtp() as client:
            refused = client.sendmail("alice@example.test", [f"{n}@example.net" for n in ("y", "t", "r", "fine")], TEXT)
        self.assertEqual(refused["y@example.net"], (554, b"5.7.9 first second?"))
        self.assertEqual({name: code for name, (code, _) in refused.items()},
                         {"y@example.net": 554, "t@example.net": 451, "r@example.net": 550})
        self.assertEqual(self.hop.wait(1, relay=relay)[0].recipients, ["fine@example.net"])
        milter.answers = {"E": [("h", text("X-Never", "1")), ("y", text("450 4.2.0 later"))]}
        self.assertEqual(self.failure(relay), (450, b"4.2.0 later"))
        milter.answers = {"M": [("r",)]}
        self.assertEqual(self.failure(relay)[0], 550)
        milter.answers = {"C": [("t",)]}
        self.assertEqual(self.failure(relay)[0], 451)
        milter.answers = {"N": [("a",)], "E": [("r",)]}
        self.assertNotIn("X-Never", self.delivered(relay, 2).message)

    def test_discarded_and_quarantined_mail_is_not_delivered(self):
        milter = self.milter({"M": [("d",)]})
        relay = self.start(milter)
        relay.submit(TEXT)
        milter.answers = {"E": [("q", text("smells")), ("h", text("X-Held", "1")), ("c",)]}
        relay.submit(TEXT)
        milter.answers = {}
        self.delivered(relay)
        self.assertEqual(len(self.hop.messages), 1)
        self.assertEqual(len([one for one in relay.events() if one.get("event") == "message.discarded"]), 1)
        wait_for(lambda: len(relay.queue()) == 1, 20, relay.log_tail)

    def test_each_milter_sees_what_those_before_it_have_made(self):
        first = self.milter({"E": [("i", numbered(1, "X-First", "1")), ("m", numbered(1, "X-Old", "")), ("b", b"new\r\n"), ("c",)]})
        second = self.milter({"E": [("m", numbered(1, "X-First", "2")), ("m", numbered(1, "X-Old", "changed")), ("c",)]})
        received = self.delivered(self.start(first, second))
        fields = [data for kind, data in second.seen if kind == "L"]
        self.assertEqual(fields[0], b"X-First\x001\0")
        self.assertEqual([data for data in fields if data.startswith(b"X-Old")], [b"X-Old\0two\0"])
        self.assertIn(("B", b"new\r\n"), second.seen)
        self.assertEqual(received.message.get_all("X-First"), ["2"])
        self.assertEqual(received.message.get_all("X-Old"), ["changed"])
        self.assertEqual(body_of(received.data), b"new\r\n")

    def test_a_milter_that_is_deaf_to_a_second_client_gets_a_connection_for_each(self):
        def once(link, data, milter):
            if milter.letters().count("C") != 2:
                link.put("c")

        milter = self.milter({"C": once})
        relay = self.start(milter, max_idle=5, command_timeout="500ms")
        for count in range(1, 4):
            self.delivered(relay, count)
            wait_for(lambda: milter.letters()[-1] in "KQ", 20, milter.letters)
        self.assertEqual(milter.connections, 3)
        self.assertIn("does not answer a second client", relay.log_text())

    def test_connections_serve_one_client_after_the_other(self):
        milter = self.milter()
        relay = self.start(milter, max_idle=2)
        for count in range(1, 4):
            with relay.smtp() as client:
                client.sendmail("alice@example.test", ["bob@example.net"], TEXT)
                client.mail("alice@example.test")
                client.rset()
                client.sendmail("alice@example.test", ["bob@example.net"], TEXT)
            wait_for(lambda: milter.letters().count("K") == count, 20, milter.letters)
        self.assertEqual((milter.connections, len(milter.offered)), (1, 1))
        self.assertEqual(milter.letters().count("C"), 3)
        self.assertRegex(milter.letters(), "^(CHMRTL+NBEMAMRTL+NBEK){3}$")

    # what breaks it

    def broken(self, answers, policy="tempfail", **kwargs):
        milter = self.milter(answers, **kwargs)
        return milter, self.start(milter, on_failure=policy, command_timeout="300ms", content_timeout="300ms", connect_timeout="2s")

    def reasons(self, relay):
        return [one["reason"] if "reason" in one else str(one) for one in relay.events() if "a milter failed" in str(one)]

    def test_broken_replies_count_as_the_failure_of_that_milter(self):
        cases = {
            "half a packet": ({"R": lambda link, *_: (link.raw.sendall(b"\0\0\0\x09y55"), link.raw.close())}, "closed the connection inside a reply"),
            "silence": ({"L": []}, "no answer in time"),
            "garbage": ({"R": lambda link, *_: link.raw.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")}, "octets: 1 to"),
            "an oversize length": ({"E": lambda link, *_: link.raw.sendall(b"\xff\xff\xff\xffh")}, "octets: 1 to"),
            "no length": ({"E": lambda link, *_: link.raw.sendall(b"\0\0\0\0")}, "octets: 1 to"),
            "an unknown reply": ({"M": [("Z",)]}, "makes no sense"),
            "skip that was not negotiated": ({"B": [("s",)]}, "makes no sense"),
            "a text without its end": ({"E": [("h", b"X-Name\0value")]}, "has no text"),
            "a short number": ({"E": [("i", b"\0\0")]}, "has no number"),
            "a bad name": ({"E": [("h", text("X Bad", "1"))]}, "name that is none"),
            "a bad address": ({"E": [("+", text("<a@b>\r\nDATA"))]}, "address that is none"),
            "a bad code": ({"R": [("y", text("250 fine"))]}, "neither 4xx nor 5xx"),
            "changes without end": ({"E": lambda link, *_: [link.put("h", text("X", "1")) for _ in range(1000)]}, "changes"),
            "death at work": ({"E": lambda link, *_: (link.put("h", text("X-Half", "1")), link.put("b", b"half"), link.raw.close())}, "closed the connection"),
        }
        milter, relay = self.broken({}, steps=0)
        for name, (answers, reason) in cases.items():
            with self.subTest(name):
                milter.answers = answers
                before = len(self.reasons(relay))
                self.assertEqual(self.failure(relay)[0], 451)
                self.assertIn(reason, wait_for(lambda: self.reasons(relay)[before:], 20, relay.log_tail)[-1])
        milter.answers = {}
        self.delivered(relay)

    def test_with_accept_a_milter_that_dies_has_changed_nothing(self):
        milter, relay = self.broken({"E": lambda link, *_: (link.put("h", text("X-Half", "1")), link.put("b", b"half"), link.raw.close())},
                                    policy="accept")
        received = self.delivered(relay)
        self.assertNotIn("X-Half", received.message)
        self.assertEqual(body_of(received.data), b"Hello.\r\n")

    def test_what_was_not_negotiated_is_not_done(self):
        _, relay = self.broken({"E": [("h", text("X-Never", "1")), ("c",)]}, policy="reject", actions=0)
        self.assertEqual(self.failure(relay)[0], 550)
        self.assertIn("was not negotiated", wait_for(lambda: self.reasons(relay), 20, relay.log_tail)[-1])

    def test_a_milter_that_is_not_there(self):
        relay = self.start(f"inet:{host()}:{free_port()}")
        self.assertEqual(self.failure(relay), (451, b"4.3.0 Message content could not be checked, try again later"))
        relay = self.start(f"unix:{self.folder}/nobody", on_failure="accept")
        self.delivered(relay)

    def test_a_broken_negotiation(self):
        milter, relay = self.broken({"O": [("O", b"\0\0\0\x09" + bytes(8))]})
        self.assertEqual(self.failure(relay)[0], 451)
        milter.answers = {"O": [("O", b"\0\0\0\x06\xff\xff\xff\xff" + bytes(4))]}
        self.assertEqual(self.failure(relay)[0], 451)
        milter.answers = {"O": [("c",)]}
        self.assertEqual(self.failure(relay)[0], 451)
        wait_for(lambda: len(self.reasons(relay)) == 3, 20, relay.log_tail)

    def test_a_relay_that_ends_does_not_wait_for_a_milter(self):
        stuck = self.milter({"M": []})
        relay = self.start(stuck, command_timeout="1h")
        client = relay.smtp()
        client.ehlo()
        client.sock.sendall(b"MAIL FROM:<alice@example.test>\r\n")
        wait_for(lambda: "M" in stuck.letters(), 20, relay.log_tail)
        client.close()
        relay.stop()


if __name__ == "__main__":
    main()
