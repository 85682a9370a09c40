# SPDX-License-Identifier: Apache-2.0
"""Filter plugins whose answers come later, on a thread of their own."""
import base64
import os
import pathlib
import smtplib

from hedwig_harness import (BUILD, PLUGINS, Case, free_port, host, listening, main, make_certificate, plain_message, trusting, wait_for)

LATER = pathlib.Path(os.environ.get("HEDWIG_TEST_PLUGINS") or BUILD / "tests" / "plugins")


class LaterAnswers(Case):
    def relay_and_sink(self, **kwargs):
        sink = self.sink()
        relay = self.relay({"filters": [{"use": "later"}], "plugins": {"directories": [str(PLUGINS), str(LATER)]}},
                           next_hop=sink.next_hop, **kwargs)
        return relay, sink

    def test_each_message_is_stored_once_with_the_edit(self):
        relay, sink = self.relay_and_sink()
        with relay.smtp() as client:
            for number in range(20):
                client.sendmail("alice@example.test", ["bob@example.net", "carol@example.net"],
                                plain_message(subject=f"number {number}", body="x" * 70 + "\r\n" * number))
        sink.wait(20, relay=relay)
        wait_for(lambda: not relay.queue(), 30, "an empty queue")
        self.assertEqual(sorted(one.message["Subject"] for one in sink.messages),
                         sorted(f"number {number}" for number in range(20)))
        for one in sink.messages:
            self.assertEqual(one.message.get_all("X-Later"), ["seen"])
        self.assertEqual(relay.metric("hedwig_emails_received_total"), 20)

    def test_commands_that_came_in_one_piece_wait_for_the_answers_in_order(self):
        relay, sink = self.relay_and_sink()
        with relay.smtp() as client:
            client.ehlo("client.example.test")
            text = b"Subject: %d\r\n\r\ntext\r\n.\r\n"
            client.sock.sendall(b"MAIL FROM:<alice@example.test>\r\nRCPT TO:<refused@example.net>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n")
            self.assertEqual([client.getreply()[0] for _ in range(4)], [250, 550, 250, 354])
            client.sock.sendall(text % 1 + b"MAIL FROM:<refused@example.test>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n")
            self.assertEqual([client.getreply()[0] for _ in range(4)], [250, 250, 250, 354])
            client.sock.sendall(text % 2 + b"NOOP\r\n")
            self.assertEqual([client.getreply()[0] for _ in range(2)], [550, 250])
        sink.wait(1, relay=relay)
        wait_for(lambda: not relay.queue(), 30, "an empty queue")
        self.assertEqual([one.message["Subject"] for one in sink.messages], ["1"])
        self.assertEqual(sink.messages[0].recipients, ["bob@example.net"])

    def test_what_a_filter_has_accepted_ends_with_rset(self):
        relay, _ = self.relay_and_sink()
        with relay.smtp() as client:
            client.ehlo("client.example.test")
            client.mail("alice@example.test")
            self.assertEqual(client.rcpt("accepted@example.net")[0], 250)
            self.assertEqual(client.rcpt("refused@example.net")[0], 250, "no more hooks for this message")
            client.rset()
            client.mail("alice@example.test")
            self.assertEqual(client.rcpt("refused@example.net"), (550, b"5.7.1 not to them"))

    def test_a_filter_may_refuse_who_has_logged_in(self):
        certificate, key = make_certificate(self.folder, addresses=[host()])
        relay, sink = self.relay_and_sink(start=False)
        port = free_port()
        relay.write_config({
            "auth": [{"use": "static", "user": [{"username": name, "password": "secret"} for name in ("ada", "refused", "ended")]}],
            "server": {"listeners": [{"addr": f"{host()}:{relay.port}", "relay_from": []},
                                     {"addr": f"{host()}:{port}", "relay_from": [],
                                      "tls": {"mode": "implicit", "cert_path": certificate, "key_path": key}}]}})
        relay.start()
        wait_for(lambda: listening(host(), port), 30, relay.log_tail)

        def log_in(client, user):
            return client.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{user}\0secret".encode()).decode())

        with smtplib.SMTP_SSL(host(), port, context=trusting(certificate), timeout=240) as client:
            client.ehlo("client.example.test")
            self.assertEqual(log_in(client, "refused"), (550, b"5.7.1 not you"))
            client.mail("alice@example.test")
            self.assertEqual(client.rcpt("bob@example.net")[0] // 100, 5, "he is nobody")
            client.rset()
            self.assertEqual(log_in(client, "ada")[0], 235)
            client.sendmail("alice@example.test", ["bob@example.net"], plain_message(subject="by ada"))
            other = smtplib.SMTP_SSL(host(), port, context=trusting(certificate), timeout=240)
            other.ehlo("client.example.test")
            self.assertEqual(log_in(other, "ended")[0], 421)
            with self.assertRaises(smtplib.SMTPServerDisconnected):
                other.docmd("NOOP")
        self.assertEqual(sink.wait(1, relay=relay)[0].message["Subject"], "by ada")

    def test_a_client_that_leaves_while_the_filter_thinks_is_no_harm(self):
        relay, sink = self.relay_and_sink()
        for _ in range(10):
            client = relay.smtp()
            client.ehlo("client.example.test")
            client.sock.sendall(b"MAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.net>\r\n")
            client.sock.close()
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            relay.submit(recipients=["refused@example.net"])
        relay.submit(plain_message(subject="after"))
        sink.wait(1, relay=relay)
        self.assertEqual([one.message["Subject"] for one in sink.messages], ["after"])


if __name__ == "__main__":
    main()
