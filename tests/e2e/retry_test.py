# SPDX-License-Identifier: Apache-2.0
"""What happens when the next hop says no, not now, or nothing."""
import collections

from hedwig_harness import Case, free_port, host, main, make_certificate, plain_message, wait_for

FAST = {"retry": {"initial_delay": "1s", "max_delay": "2s", "jitter": 0.0}}


class Retry(Case):
    def test_a_4xx_is_tried_again_and_then_arrives(self):
        seen = collections.Counter()

        def greylist(address, sink):
            seen[address] += 1
            return "450 4.2.0 greylisted, come again" if seen[address] < 3 else None

        sink = self.sink(on_rcpt=greylist)
        relay = self.relay(FAST, sink.next_hop)
        relay.submit()
        sink.wait(relay=relay)
        attempts = [event["status"] for event in relay.wait_delivery(status="delivered") and relay.deliveries()]
        self.assertEqual(attempts, ["deferred", "deferred", "delivered"])
        self.assertIn("greylisted", relay.deliveries()[0]["smtp_response"])
        self.assertEqual([event["attempt"] for event in relay.deliveries()], ["1", "2", "3"])

    def test_an_unreachable_next_hop_is_tried_again(self):
        port = free_port()
        relay = self.relay(FAST, f"{host()}:{port}")
        relay.submit()
        relay.wait_delivery(status="deferred")
        sink = self.sink(port=port)
        sink.wait(relay=relay)

    def test_the_second_next_hop_is_tried_when_the_first_is_down(self):
        sink = self.sink()
        relay = self.relay({"routes": [{"domains": ["*"], "to": [f"{host()}:{free_port()}", sink.next_hop]}],
                            "retry": {"initial_delay": "1h"}})
        relay.submit()
        sink.wait(relay=relay)

    def test_routes_are_matched_in_order(self):
        exact, sub, rest = self.sink(), self.sink(), self.sink()
        relay = self.relay({"routes": [{"domains": ["example.com"], "to": [exact.next_hop]},
                                       {"domains": ["*.example.com"], "to": [sub.next_hop]},
                                       {"domains": ["*"], "to": [rest.next_hop]}]})
        relay.submit(recipients=["a@example.com", "b@sub.example.com", "c@example.org", "d@EXAMPLE.COM"])
        self.assertEqual(exact.wait(relay=relay)[0].recipients, ["a@example.com", "d@EXAMPLE.COM"])
        self.assertEqual(sub.wait(relay=relay)[0].recipients, ["b@sub.example.com"])
        self.assertEqual(rest.wait(relay=relay)[0].recipients, ["c@example.org"])

    def test_who_was_accepted_is_never_tried_again(self):
        rounds = collections.Counter()

        def mixed(address, sink):
            rounds[address] += 1
            return "451 4.3.0 later" if address.startswith("slow") and rounds[address] < 3 else None

        sink = self.sink(on_rcpt=mixed)
        relay = self.relay(FAST, sink.next_hop)
        relay.submit(recipients=["fast@example.net", "slow@example.net", "fast2@example.net"])
        messages = sink.wait(2, relay=relay)
        self.assertEqual([got.recipients for got in messages], [["fast@example.net", "fast2@example.net"], ["slow@example.net"]])
        self.assertEqual(rounds, {"fast@example.net": 1, "fast2@example.net": 1, "slow@example.net": 3})

    def test_a_connection_lost_after_the_final_dot_is_unknown_and_tried_again(self):
        sink = self.sink(on_data=lambda got, sink: "DROP" if sink.attempts == 1 else None)
        relay = self.relay(FAST, sink.next_hop)
        relay.submit()
        sink.wait(relay=relay)
        relay.wait_delivery(status="delivered")
        self.assertEqual(len(sink.seen), 2, "the first one may have been delivered, nobody knows")
        unknown = {name: value for name, value in relay.metrics().items() if "unknown" in name}
        self.assertEqual(sum(unknown.values()), 1, unknown)

    def test_retries_survive_a_restart(self):
        seen = collections.Counter()

        def once(address, sink):
            seen[address] += 1
            return "450 4.2.0 later" if seen[address] == 1 else None

        for store in ("rocksdb", "fs"):
            with self.subTest(store=store):
                seen.clear()
                sink = self.sink(on_rcpt=once)
                relay = self.relay({"retry": {"initial_delay": "2s", "jitter": 0.0}}, sink.next_hop, store=store)
                relay.submit()
                relay.wait_delivery(status="deferred")
                relay.stop()
                relay.start()
                sink.wait(relay=relay)
                wait_for(lambda: relay.queue() == [], 10, relay.log_tail)

    def test_after_max_retries_it_bounces(self):
        sink = self.sink(on_rcpt=lambda address, sink: "450 4.2.0 never" if address.startswith("bob") else None)
        relay = self.relay({**FAST, "server": {"max_retries": 3}}, sink.next_hop)
        relay.submit()
        report = sink.wait(relay=relay)[0]
        self.assertEqual(report.recipients, ["alice@example.test"])
        self.assertEqual([event["status"] for event in relay.deliveries(recipient="bob@example.net")],
                         ["deferred", "deferred", "bounced"])
        self.assertRegex(report.data.decode(), r"(?m)^Status: 4\.2\.0")

    def test_after_expire_after_it_bounces(self):
        sink = self.sink(on_rcpt=lambda address, sink: "450 4.2.0 never" if address.startswith("bob") else None)
        relay = self.relay({"retry": {"initial_delay": "1s", "max_delay": "1s", "jitter": 0.0, "expire_after": "3s"},
                            "server": {"max_retries": 1000}}, sink.next_hop)
        relay.submit()
        self.assertEqual(sink.wait(timeout=30, relay=relay)[0].recipients, ["alice@example.test"])


class Bounce(Case):
    def refused(self, code="550 5.1.1 no such user here"):
        return lambda address, sink: code if address.startswith("bob") else None

    def test_a_5xx_gives_a_dsn_that_a_mail_program_understands(self):
        sink = self.sink(on_rcpt=self.refused())
        relay = self.relay(next_hop=sink.next_hop)
        relay.submit(plain_message(subject="lost words", body="secret body\r\n"), recipients=["bob@example.net", "carol@example.net"])
        good, report = sorted(sink.wait(2, relay=relay), key=lambda got: got.recipients != ["carol@example.net"])
        self.assertEqual(good.recipients, ["carol@example.net"])
        self.assertEqual(report.sender, "")
        self.assertEqual(report.recipients, ["alice@example.test"])
        message = report.message
        self.assertEqual(message.get_content_type(), "multipart/report")
        self.assertEqual(message.get_param("report-type"), "delivery-status")
        self.assertIn("alice@example.test", message["To"])
        self.assertRegex(message["Auto-Submitted"], "auto-replied|auto-generated")
        self.assertTrue(message["Date"] and message["Message-ID"] and message["From"])
        text, status, original = list(message.iter_parts())
        self.assertEqual(text.get_content_type(), "text/plain")
        self.assertIn("bob@example.net", text.get_content())
        self.assertEqual(status.get_content_type(), "message/delivery-status")
        per_message, *per_recipient = status.get_payload()
        self.assertEqual(per_message["Reporting-MTA"].replace(" ", ""), "dns;relay.example.test")
        self.assertEqual(len(per_recipient), 1, "only who failed")
        fields = per_recipient[0]
        self.assertEqual(fields["Final-Recipient"].replace(" ", "").lower(), "rfc822;bob@example.net")
        self.assertEqual((fields["Action"], fields["Status"]), ("failed", "5.1.1"))
        self.assertRegex(fields["Diagnostic-Code"], r"(?s)smtp; ?550.*no such user here")
        self.assertIn(original.get_content_type(), ("text/rfc822-headers", "message/rfc822"))
        self.assertIn("lost words", original.as_string())

    def bounced(self, dsn, message):
        sink = self.sink(on_rcpt=self.refused())
        relay = self.relay({"dsn": dsn}, next_hop=sink.next_hop)
        relay.submit(message)
        report = sink.wait(relay=relay)[0].message
        return report, list(report.iter_parts())[2]

    LOST = "first line \u00e9\r\n.second line\r\n\r\n--=_report_\r\n"

    def test_the_whole_message_goes_back_where_that_is_wished(self):
        message = plain_message(subject="lost words", body=self.LOST).encode()
        report, original = self.bounced({"return_message": "full", "from": "postmaster@example.test"}, message)
        self.assertEqual(str(report["From"].addresses[0].addr_spec), "postmaster@example.test")
        self.assertEqual(report.get_content_type(), "multipart/report")
        self.assertEqual(original.get_content_type(), "message/rfc822")
        inner = original.get_payload()[0]
        self.assertEqual(inner["Subject"], "lost words")
        self.assertEqual(inner.get_payload(decode=True).decode().replace("\r\n", "\n").rstrip(),
                         self.LOST.replace("\r\n", "\n").rstrip())

    def test_a_message_over_the_limit_goes_back_with_its_header_alone(self):
        message = plain_message(subject="lost words", body="secret words\r\n" * 200)
        for dsn in ({"return_message": "full", "max_return_size": 2000}, {"return_message": "headers"}, {}):
            with self.subTest(dsn):
                report, original = self.bounced(dsn, message)
                self.assertEqual(original.get_content_type(), "text/rfc822-headers")
                self.assertIn("lost words", original.as_string())
                self.assertNotIn("secret words", report.as_string())
                self.assertEqual(str(report["From"].addresses[0].addr_spec), "MAILER-DAEMON@relay.example.test")

    def test_a_null_sender_never_gets_one(self):
        sink = self.sink(on_rcpt=self.refused())
        relay = self.relay(next_hop=sink.next_hop)
        relay.submit(sender="")
        relay.wait_delivery(status="bounced")
        relay.submit(recipients=["carol@example.net"])  # arrives after anything the bounce might have made
        relay.wait_delivery(recipient="carol@example.net", status="delivered")
        self.assertEqual([got.recipients for got in sink.messages], [["carol@example.net"]])

    def test_a_bounce_that_bounces_ends_there(self):
        sink = self.sink(on_rcpt=lambda address, sink: "550 5.1.1 nobody" if "carol" not in address else None)
        relay = self.relay(next_hop=sink.next_hop)
        relay.submit()
        relay.wait_delivery(recipient="alice@example.test", status="bounced")
        relay.submit(recipients=["carol@example.net"])
        relay.wait_delivery(recipient="carol@example.net", status="delivered")
        self.assertEqual(len(sink.messages), 1)

    def test_a_hostile_reply_reaches_neither_header_nor_log_unescaped(self):
        reply = "550 5.1.1 \x1b[31mred \"quoted\" <b>&amp; % {}"
        sink = self.sink(on_rcpt=self.refused(reply))
        relay = self.relay(next_hop=sink.next_hop)
        relay.submit()
        report = sink.wait(relay=relay)[0]
        self.assertNotIn(b"\x1b", report.data)
        self.assertNotIn("\x1b", relay.log_text())
        self.assertEqual(report.message.get_content_type(), "multipart/report")

    def test_5xx_after_the_dot_bounces_every_recipient(self):
        sink = self.sink(on_data=lambda got, sink: "554 5.7.1 spam" if got.sender else None)
        relay = self.relay(next_hop=sink.next_hop)
        relay.submit(recipients=["bob@example.net", "carol@example.net"])
        status = list(sink.wait(relay=relay)[0].message.iter_parts())[1]
        self.assertEqual(len(status.get_payload()), 3)


class Tls(Case):
    def test_opportunistic_uses_starttls_when_it_is_offered(self):
        sink = self.sink(certificate=make_certificate(self.folder, "sink.example.net"))
        relay = self.relay({"routes": [{"domains": ["*"], "to": [sink.next_hop], "tls": "opportunistic"}]})
        relay.submit()
        self.assertTrue(sink.wait(relay=relay)[0].tls)

    def test_none_stays_in_the_clear(self):
        sink = self.sink(certificate=make_certificate(self.folder, "sink.example.net"))
        relay = self.relay({"routes": [{"domains": ["*"], "to": [sink.next_hop], "tls": "none"}]})
        relay.submit()
        self.assertFalse(sink.wait(relay=relay)[0].tls)

    def test_require_does_not_fall_back(self):
        sink = self.sink()
        relay = self.relay({"routes": [{"domains": ["*"], "to": [sink.next_hop], "tls": "require"}], "retry": {"initial_delay": "1h"}})
        relay.submit()
        self.assertEqual(relay.wait_delivery()[0]["status"], "deferred")
        self.assertEqual(sink.seen, [])

    def test_verify_refuses_a_certificate_of_somebody_else(self):
        sink = self.sink(certificate=make_certificate(self.folder, "somebody.example.org"))
        relay = self.relay({"routes": [{"domains": ["*"], "to": [sink.next_hop], "tls": "verify"}], "retry": {"initial_delay": "1h"}})
        relay.submit()
        self.assertEqual(relay.wait_delivery()[0]["status"], "deferred")
        self.assertEqual(sink.seen, [])


if __name__ == "__main__":
    main()
