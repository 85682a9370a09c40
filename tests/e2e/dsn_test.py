# SPDX-License-Identifier: Apache-2.0
"""Delivery status notifications as the sender asks for them (RFC 3461), among foreign clients and next hops."""
import smtplib

from hedwig_harness import STORES, Case, Postfix, main, plain_message, wait_for


def submit(client, rcpt, mail=(), text=None, sender="alice@example.test"):
    """One message with ESMTP parameters; rcpt: (address, parameters) pairs."""
    client.ehlo()
    code, answer = client.mail(sender, list(mail))
    assert code == 250, answer
    for address, parameters in rcpt:
        code, answer = client.rcpt(address, list(parameters))
        assert code == 250, answer
    code, answer = client.data(text or plain_message(sender, "bob@example.net", subject="lost words", body="secret words\r\n"))
    assert code == 250, answer


def refuse(*names):
    return lambda address, sink: "550 5.1.1 no such user" if address.split("@")[0] in names else None


def blocks(report):
    """The groups of fields of a message/delivery-status."""
    return list(report.message.iter_parts())[1].get_payload()


def compact(text):
    return text.replace(" ", "")


class Asked(Case):
    def reports(self, sink, relay, count):
        """The notifications among what arrived, once the queue is empty."""
        sink.wait(count, relay=relay)
        wait_for(lambda: relay.queue() == [], 20, relay.log_tail)
        return [got for got in sink.messages if got.sender == ""]

    def run_with(self, rcpt, mail=(), count=1, config=None, store="rocksdb", on_rcpt=None):
        sink = self.sink(on_rcpt=on_rcpt or refuse("bob"))
        relay = self.relay(config, next_hop=sink.next_hop, store=store)
        with relay.smtp() as client:
            submit(client, rcpt, mail)
        for address, _ in rcpt:
            relay.wait_delivery(recipient=address)
        return self.reports(sink, relay, count)

    def test_it_is_offered(self):
        relay = self.relay(next_hop=self.sink().next_hop)
        with relay.smtp() as client:
            client.ehlo()
            self.assertTrue(client.has_extn("dsn"))

    def test_a_failure_names_what_the_sender_gave(self):
        for store in STORES:
            with self.subTest(store=store):
                report, = self.run_with([("bob@example.net", ["NOTIFY=FAILURE", "ORCPT=rfc822;Bob+2Bold@example.org"])],
                                        ["RET=HDRS", "ENVID=QQ+2B314"], store=store)
                envelope, recipient = blocks(report)
                self.assertEqual(envelope["Original-Envelope-Id"], "QQ+314")
                self.assertEqual(compact(recipient["Original-Recipient"]), "rfc822;Bob+old@example.org")
                self.assertEqual(compact(recipient["Final-Recipient"]), "rfc822;bob@example.net")
                self.assertEqual(recipient["Action"], "failed")

    def test_never_and_success_alone_hear_nothing_of_a_failure(self):
        report, = self.run_with([("bob@example.net", ["NOTIFY=NEVER"]), ("eve@example.net", ["NOTIFY=SUCCESS"]),
                                 ("dan@example.net", []), ("fay@example.net", ["NOTIFY=FAILURE,DELAY"])],
                                on_rcpt=refuse("bob", "eve", "dan", "fay"))
        _, *recipients = blocks(report)
        self.assertEqual([compact(one["Final-Recipient"]) for one in recipients], ["rfc822;dan@example.net", "rfc822;fay@example.net"])

    def test_ret_decides_what_comes_back(self):
        full = {"dsn": {"return_message": "full"}}
        for mail, config, content in ((["RET=FULL"], {}, "message/rfc822"), (["RET=HDRS"], full, "text/rfc822-headers"),
                                      ([], full, "message/rfc822"), ([], {}, "text/rfc822-headers")):
            with self.subTest(mail=mail, config=config):
                report, = self.run_with([("bob@example.net", [])], mail, config=config)
                original = list(report.message.iter_parts())[2]
                self.assertEqual(original.get_content_type(), content)
                self.assertEqual("secret words" in report.data.decode(), content == "message/rfc822")

    def test_a_next_hop_without_dsn_gives_a_relayed_report(self):
        for store in STORES:
            with self.subTest(store=store):
                report, = self.run_with([("carol@example.net", ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;carol@example.org"]),
                                         ("dora@example.net", ["NOTIFY=FAILURE"]), ("emil@example.net", [])],
                                        ["RET=FULL", "ENVID=e1"], count=2, store=store)
                self.assertEqual(report.recipients, ["alice@example.test"])
                envelope, recipient = blocks(report)
                self.assertEqual(envelope["Original-Envelope-Id"], "e1")
                self.assertEqual((recipient["Action"], recipient["Status"][0]), ("relayed", "2"))
                self.assertEqual(compact(recipient["Original-Recipient"]), "rfc822;carol@example.org")
                self.assertEqual(compact(recipient["Final-Recipient"]), "rfc822;carol@example.net")
                self.assertNotIn("secret words", report.data.decode())

    def test_success_and_failure_of_one_message_are_two_reports(self):
        reports = self.run_with([("bob@example.net", []), ("carol@example.net", ["NOTIFY=SUCCESS"])], count=3)
        self.assertEqual(sorted(blocks(one)[1]["Action"] for one in reports), ["failed", "relayed"])

    def test_a_null_sender_hears_nothing(self):
        sink = self.sink()
        relay = self.relay(next_hop=sink.next_hop)
        with relay.smtp() as client:
            submit(client, [("carol@example.net", ["NOTIFY=SUCCESS"])], sender="")
            submit(client, [("dora@example.net", [])])
        sink.wait(2, relay=relay)
        self.assertEqual(len(self.reports(sink, relay, 2)), 1, "the message itself")

    def test_delay_is_told_to_who_wants_to_hear_of_it(self):
        config = {"retry": {"initial_delay": "1s", "max_delay": "1s", "jitter": 0.0}, "dsn": {"delay_warning": "1s"},
                  "server": {"max_retries": 1000}}
        sink = self.sink(on_rcpt=lambda address, sink: None if address.startswith("alice") else "450 4.2.0 later")
        relay = self.relay(config, next_hop=sink.next_hop)
        with relay.smtp() as client:
            submit(client, [("bob@example.net", ["NOTIFY=FAILURE"]), ("carol@example.net", ["NOTIFY=DELAY"]),
                            ("dora@example.net", []), ("emil@example.net", ["NOTIFY=NEVER"])])
        report = sink.wait(relay=relay)[0]
        _, *recipients = blocks(report)
        self.assertEqual([one["Action"] for one in recipients], ["delayed", "delayed"])
        self.assertEqual([compact(one["Final-Recipient"]) for one in recipients],
                         ["rfc822;carol@example.net", "rfc822;dora@example.net"])


class WithPostfix(Case):
    def test_a_next_hop_with_dsn_gets_the_parameters_and_reports_itself(self):
        server = self.opened(Postfix(self.path("server")))
        relay = self.relay(next_hop=server.next_hop)
        with relay.smtp() as client:
            submit(client, [("bob@example.net", ["NOTIFY=SUCCESS", "ORCPT=rfc822;Bob+2Bold@example.org"])], ["RET=HDRS", "ENVID=QQ+2B314"])
        wait_for(lambda: len(server.messages()) >= 2, 20, lambda: relay.log_tail() + server.log_text())
        report = next(one for one in server.messages() if one["Return-Path"] == "<>")
        text = str(report)
        self.assertIn("Original-Envelope-Id: QQ+314", text)
        self.assertIn("Original-Recipient: rfc822;Bob+old@example.org", text)
        self.assertIn("Action: delivered", text)
        wait_for(lambda: relay.queue() == [], 20, relay.log_tail)
        self.assertEqual(relay.deliveries(recipient="alice@example.test"), [], "the relay itself says nothing")

    def test_postfix_asks_through_us(self):
        sink = self.sink()
        relay = self.relay(next_hop=sink.next_hop)
        client = self.opened(Postfix(self.path("client"), relayhost=f"[{relay.address}]:{relay.port}"))
        with smtplib.SMTP(client.address, client.port, "app.example.test") as session:
            submit(session, [("bob@example.net", ["NOTIFY=SUCCESS"])], ["ENVID=e2"])
        sink.wait(2, relay=relay)
        report = next(got for got in sink.messages if got.sender == "")
        envelope, recipient = blocks(report)
        self.assertEqual(envelope["Original-Envelope-Id"], "e2")
        self.assertEqual((recipient["Action"], compact(recipient["Original-Recipient"])), ("relayed", "rfc822;bob@example.net"))


if __name__ == "__main__":
    main()
