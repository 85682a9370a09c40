# SPDX-License-Identifier: Apache-2.0
"""filter-dnsbl through the whole relay, its lists in a real nsd."""
import contextlib
import smtplib
import socket

from hedwig_harness import Case, Nsd, host, main, plain_message


def reverse(address):
    return ".".join(reversed(address.split(".")))


class FilterDnsbl(Case):
    def start(self, lists, use="dnsbl", servers=None, **settings):
        listed, both, good, error = (reverse(host(n)) for n in (11, 12, 13, 14))
        nsd = servers or self.opened(Nsd(self.folder / "nsd", {
            "bl.test": f"{listed} A 127.0.0.2\n{both} A 127.0.0.6\n{both} A 127.0.1.9\n{good} A 127.0.0.2\n{error} A 127.255.255.254\n",
            "wl.test": f"{good} A 127.0.5.1\n",
            "dom.test": "spam.example A 127.0.1.2\n",
            "broken.test": None}))
        self.hop = self.sink()
        settings = {"check_private": True, "reject_at": 10, "tempfail_at": 5, **settings}
        server = servers or f"{nsd.address}:{nsd.port}"
        return self.relay({"dns": {"servers": [server]}, "filters": [{"use": use, **settings, "list": lists}]},
                          next_hop=self.hop.next_hop)

    def answer(self, relay, number, sender="alice@example.test"):
        """The reply to MAIL of a client at an address of ours; None: taken."""
        try:
            relay.submit(plain_message(extra="X-DNSBL: forged\r\n"), sender=sender, source=host(number))
        except smtplib.SMTPSenderRefused as error:
            return error.smtp_code, error.smtp_error.decode()
        return None

    def test_weights_add_up_and_good_lists_speak_for_the_client(self):
        relay = self.start([{"zone": "bl.test", "weight": 5, "answers": ["127.0.0.2-5"]},
                            {"zone": "BL.test.", "weight": 7, "answers": ["127.0.0.&4"]},
                            {"zone": "bl.test", "weight": 3, "answers": ["127.0.1.9"]},
                            {"zone": "wl.test", "weight": -5},
                            {"zone": "dom.test", "of": "sender_domain", "weight": 20},
                            {"zone": "broken.test", "weight": 100}])
        self.assertIsNone(self.answer(relay, 10))
        self.assertEqual(self.answer(relay, 11), (450, f"4.7.1 Client address {host(11)} is listed in bl.test"))
        self.assertEqual(self.answer(relay, 12), (550, f"5.7.1 Client address {host(12)} is listed in bl.test"))
        self.assertIsNone(self.answer(relay, 13))
        self.assertIsNone(self.answer(relay, 14))
        self.assertEqual(self.answer(relay, 10, "x@SPAM.example"), (550, "5.7.1 Sender domain is listed in dom.test"))
        self.assertIsNone(self.answer(relay, 10, "x@mail.spam.example"))
        self.assertIsNone(self.answer(relay, 10, ""))

    def test_clients_that_are_exempt_or_private_are_not_asked_for(self):
        lists = [{"zone": "bl.test", "weight": 10}]
        relay = self.start(lists, exempt_clients=[host(11) + "/32"])
        self.assertIsNone(self.answer(relay, 11))
        self.assertEqual(self.answer(relay, 12)[0], 550)
        self.assertIsNone(self.answer(relay, 14), "an answer that tells of an error")
        relay.stop()
        relay.write_config({"filters": [{"use": "dnsbl", "reject_at": 10, "list": lists}]})
        relay.start()
        self.assertIsNone(self.answer(relay, 12))

    def test_a_mark_in_the_header(self):
        relay = self.start([{"zone": "bl.test", "weight": 2}, {"zone": "dom.test", "of": "sender_domain", "weight": 2}],
                           use="dnsbl-tag", tag_at=1)
        self.assertIsNone(self.answer(relay, 11, "x@spam.example"))
        self.assertIsNone(self.answer(relay, 10))
        marked, clean = self.hop.wait(2, relay=relay)
        self.assertIn(marked.message["X-DNSBL"], ("score=4; bl.test=2; dom.test=2", "score=4; dom.test=2; bl.test=2"))
        self.assertEqual(len(marked.message.get_all("X-DNSBL")), 1)
        self.assertNotIn("X-DNSBL", clean.message)

    def test_a_resolver_that_says_nothing_stops_no_mail(self):
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as silent:
            silent.bind((host(53), 0))
            relay = self.start([{"zone": f"bl{n}.test", "weight": 10} for n in range(20)], servers="%s:%d" % silent.getsockname(),
                               timeout="300ms")
            self.assertIsNone(self.answer(relay, 11))
            self.assertEqual(len(self.hop.wait(1, relay=relay)), 1)


if __name__ == "__main__":
    main()
