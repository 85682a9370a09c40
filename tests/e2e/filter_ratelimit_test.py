# SPDX-License-Identifier: Apache-2.0
"""filter-ratelimit through the whole relay."""
import smtplib

from hedwig_harness import Case, host, main, plain_message


class FilterRatelimit(Case):
    def test_what_is_too_much_is_put_off_with_the_time(self):
        sink = self.sink()
        limits = [{"by": "client", "messages": 2, "per": "1d"}, {"by": "recipient_domain", "recipients": 3, "per": "1d"}]
        relay = self.relay({"filters": [{"use": "ratelimit", "exempt_clients": [host(9)], "limit": limits}]},
                           next_hop=sink.next_hop)
        with relay.smtp() as client:
            refused = client.sendmail("alice@example.test", [f"{n}@example.net" for n in range(4)], plain_message())
            self.assertEqual({name: code for name, (code, _) in refused.items()}, {"3@example.net": 450})
            client.sendmail("alice@example.test", ["bob@example.org"], plain_message())
            with self.assertRaises(smtplib.SMTPSenderRefused) as caught:
                client.sendmail("alice@example.test", ["bob@example.org"], plain_message())
        self.assertEqual((caught.exception.smtp_code, caught.exception.smtp_error),
                         (450, b"4.7.1 Too many messages from your address; try again in 12 hours"))
        with self.assertRaises(smtplib.SMTPSenderRefused):
            relay.submit()  # another connection of the same client
        self.assertEqual([value for key, value in relay.metrics().items() if key.startswith("hedwig_plugin_events_total{")
                          and 'name="refused"' in key and "ratelimit" in key], [3])
        for _ in range(3):
            relay.submit(recipients=["bob@example.org"], source=host(9))
        self.assertEqual(len(sink.wait(5, relay=relay)), 5)


if __name__ == "__main__":
    main()
