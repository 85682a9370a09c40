# SPDX-License-Identifier: Apache-2.0
"""Mail finds its way by MX: a real authoritative server (nsd), a real resolver (unbound), hosts on loopback addresses."""
from hedwig_harness import Case, Nsd, Sink, Unbound, free_port, host, main, plain_message, wait_for

MX1, MX2, MX3, A_ONLY, DEAD = host(11), host(12), host(13), host(14), host(15)
ZONES = {
    "example.net": f"@ MX 10 mx1\n@ MX 20 mx2\nmx1 A {MX1}\nmx2 A {MX2}\n"
                   f"bare A {A_ONLY}\n"
                   f"null MX 0 .\n"
                   f"deadfirst MX 5 dead\ndeadfirst MX 10 mx2\ndead A {DEAD}\n"
                   f"gone MX 10 nowhere\n"
                   f"alias CNAME mx.elsewhere.test.\n"
                   f"equal MX 10 mx1\nequal MX 10 mx2\nequal MX 10 mx3\nmx3 A {MX3}\n"
                   f"txtonly TXT \"nothing to deliver to\"\n",
    "elsewhere.test": f"mx MX 10 mx3.example.net.\n",
    "broken.test": None,  # no zone file: SERVFAIL
    "test": "unrelated A 127.0.0.1\n",
}


class ByMx(Case):
    def setUp(self):
        super().setUp()
        self.nsd = self.opened(Nsd(self.folder / "nsd", ZONES))
        self.unbound = self.opened(Unbound(self.folder / "unbound", ZONES, self.nsd))
        self.port = free_port(MX1)

    def host_at(self, address, **kwargs):
        return self.opened(Sink(address=address, port=self.port, **kwargs))

    def mx_relay(self, servers=None, **more):
        return self.relay({"outbound": {"port": self.port}, "dns": {"servers": servers or [f"{self.unbound.address}:{self.unbound.port}"]},
                           "server": {"outbound_local": True}, "retry": {"initial_delay": "1s", "jitter": 0.0}, **more})

    def test_the_host_of_the_lowest_preference_gets_the_mail(self):
        first, second = self.host_at(MX1), self.host_at(MX2)
        relay = self.mx_relay()
        relay.submit(recipients=["bob@example.net"])
        self.assertEqual(first.wait(relay=relay)[0].recipients, ["bob@example.net"])
        self.assertEqual(second.messages, [])
        self.assertIn("mx1.example.net", relay.wait_delivery(status="delivered")[0]["dest_ip"])

    def test_an_authoritative_server_alone_will_do(self):
        first = self.host_at(MX1)
        relay = self.mx_relay([f"{self.nsd.address}:{self.nsd.port}"])
        relay.submit(recipients=["bob@example.net"])
        first.wait(relay=relay)

    def test_the_next_host_is_tried_in_the_same_attempt(self):
        second = self.host_at(MX2)
        relay = self.mx_relay(retry={"initial_delay": "1h"})
        relay.submit(recipients=["bob@deadfirst.example.net"])
        second.wait(relay=relay)

    def test_the_next_host_is_tried_when_the_first_says_4xx_to_the_connection(self):
        first = self.host_at(MX1, on_mail=lambda *_: "451 4.3.0 not now")
        second = self.host_at(MX2)
        relay = self.mx_relay()
        relay.submit(recipients=["bob@example.net"])
        # Whether the second host is tried at once or at the retry is the relay's choice; that it arrives is not.
        wait_for(lambda: second.messages or first.attempts, 20, relay.log_tail)
        self.assertEqual(len(second.wait(timeout=30, relay=relay)), 1)

    def test_without_mx_the_host_itself_gets_the_mail(self):
        bare = self.host_at(A_ONLY)
        relay = self.mx_relay()
        relay.submit(recipients=["bob@bare.example.net"])
        bare.wait(relay=relay)

    def test_an_alias_is_followed(self):
        third = self.host_at(MX3)
        relay = self.mx_relay()
        relay.submit(recipients=["bob@alias.example.net"])
        third.wait(relay=relay)

    def test_hosts_of_equal_preference_share_the_mail(self):
        hosts = [self.host_at(address) for address in (MX1, MX2, MX3)]
        # A connection that is open is used again; the hosts are drawn anew for each connection.
        relay = self.mx_relay(outbound={"port": self.port, "max_messages_per_connection": 1})
        for _ in range(60):
            relay.submit(recipients=["bob@equal.example.net"])
        wait_for(lambda: sum(len(sink.messages) for sink in hosts) >= 60, 40, relay.log_tail)
        self.assertGreaterEqual(sum(bool(sink.messages) for sink in hosts), 2, "shuffled, not always the same")
        self.assertEqual(sum(len(sink.messages) for sink in hosts), 60)

    def bounced(self, relay, recipient, code):
        """Sends to recipient from alice@example.net and gives back the DSN that arrives there."""
        home = self.host_at(MX1)
        relay.submit(plain_message("alice@example.net", recipient), sender="alice@example.net", recipients=[recipient])
        report = home.wait(relay=relay)[0]
        self.assertEqual((report.sender, report.recipients), ("", ["alice@example.net"]))
        text = report.data.decode()
        self.assertIn(f"Final-Recipient: rfc822; {recipient}".lower(), text.lower())
        self.assertRegex(text, rf"(?im)^Status: {code}")
        return report

    def test_a_null_mx_bounces(self):
        relay = self.mx_relay()
        self.bounced(relay, "bob@null.example.net", r"5\.1\.10")  # RFC 7505
        self.assertEqual(len(relay.deliveries(recipient="bob@null.example.net", status="bounced")), 1)

    def test_a_domain_that_does_not_exist_bounces(self):
        self.bounced(self.mx_relay(), "bob@nope.example.net", r"5\.")

    def test_a_domain_without_any_address_bounces_or_waits_but_is_not_delivered(self):
        relay = self.mx_relay()
        relay.submit(recipients=["bob@txtonly.example.net"])
        event = relay.wait_delivery(recipient="bob@txtonly.example.net")[0]
        self.assertIn(event["status"], ("bounced", "deferred"))

    def test_servfail_waits(self):
        relay = self.mx_relay(retry={"initial_delay": "1h"})
        relay.submit(recipients=["bob@broken.test"])
        self.assertEqual(relay.wait_delivery(recipient="bob@broken.test")[0]["status"], "deferred")
        self.assertEqual(len(relay.queue()), 1)

    def test_a_silent_dns_server_makes_mail_wait(self):
        relay = self.mx_relay([f"{DEAD}:{free_port(DEAD)}"], retry={"initial_delay": "1h"})
        relay.submit(recipients=["bob@example.net"])
        self.assertEqual(relay.wait_delivery(timeout=60, recipient="bob@example.net")[0]["status"], "deferred")

    def test_one_message_to_several_domains_goes_each_its_way(self):
        first, bare = self.host_at(MX1), self.host_at(A_ONLY)
        relay = self.mx_relay()
        relay.submit(recipients=["a@example.net", "b@bare.example.net", "c@example.net"])
        self.assertEqual(sorted(first.wait(relay=relay)[0].recipients), ["a@example.net", "c@example.net"])
        self.assertEqual(bare.wait(relay=relay)[0].recipients, ["b@bare.example.net"])


if __name__ == "__main__":
    main()
