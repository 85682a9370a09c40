# SPDX-License-Identifier: Apache-2.0
"""A Postfix on either side: as the client that relays through hedwig, and as its next hop."""
import email
import smtplib

from hedwig_harness import STORES, Case, Postfix, load, main, plain_message, wait_for


class WithPostfix(Case):
    def test_postfix_relays_through_hedwig(self):
        sink = self.sink()
        relay = self.relay(next_hop=sink.next_hop)
        client = self.opened(Postfix(self.path("client"), relayhost=f"[{relay.address}]:{relay.port}"))
        with smtplib.SMTP(client.address, client.port, "app.example.test") as session:
            session.sendmail("alice@example.test", ["bob@example.net", "carol@example.org"], plain_message(subject="by way of postfix"))
        got = sink.wait(relay=relay)[0]
        self.assertEqual(sorted(got.recipients), ["bob@example.net", "carol@example.org"])
        self.assertEqual(got.message["Subject"], "by way of postfix")
        self.assertEqual(len(got.message.get_all("Received")), 2)
        wait_for(lambda: "status=sent" in client.log_text(), 10, client.log_text)

    def test_postfix_is_the_next_hop(self):
        server = self.opened(Postfix(self.path("server")))
        for store in STORES:
            with self.subTest(store=store):
                before = len(server.messages())
                relay = self.relay(next_hop=server.next_hop, store=store)
                text = plain_message(subject=f"kept in {store}", body="Grüße\r\n..dots\r\n.\r\n")
                relay.submit(text.encode(), recipients=["bob@example.net", "carol@example.net"])
                wait_for(lambda: len(server.messages()) >= before + 2, 20, lambda: relay.log_tail() + server.log_text())
                message = email.message_from_bytes(server.messages()[-1].as_bytes())
                self.assertEqual(message["Subject"], f"kept in {store}")
                self.assertEqual(message["Return-Path"], "<alice@example.test>")
                self.assertIn("..dots\n.\n", message.get_payload(decode=True).decode())

    def test_postfix_to_hedwig_to_postfix(self):
        server = self.opened(Postfix(self.path("server")))
        relay = self.relay(next_hop=server.next_hop)
        client = self.opened(Postfix(self.path("client"), relayhost=f"[{relay.address}]:{relay.port}"))
        load(client.address, client.port, 200, connections=10, size=2000)
        wait_for(lambda: len(server.messages()) >= 200, 60, lambda: relay.log_tail() + client.log_text()[-2000:])
        self.assertEqual(len(server.messages()), 200)
        self.assertEqual(relay.queue(), [])

    def test_a_refusal_of_postfix_comes_back_as_a_bounce(self):
        server = self.opened(Postfix(self.path("server"), settings={
            "smtpd_recipient_restrictions": "check_recipient_access inline:{nobody@example.net=REJECT}, permit"}))
        relay = self.relay(next_hop=server.next_hop)
        relay.submit(recipients=["nobody@example.net"])
        wait_for(server.messages, 20, lambda: relay.log_tail() + server.log_text())
        report = server.messages()[0]
        self.assertEqual(report.get_content_type(), "multipart/report")
        self.assertEqual(report["Return-Path"], "<>")
        self.assertIn("nobody@example.net", str(report))


if __name__ == "__main__":
    main()
