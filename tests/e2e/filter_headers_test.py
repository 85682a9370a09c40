# SPDX-License-Identifier: Apache-2.0
"""filter-headers through the whole relay: rules, folding, and signatures over what the rules have made."""
import signal
import smtplib

import dkim

from hedwig_harness import (Case, free_port, generate_key, host, listening, main, make_certificate, plain_message, trusting, wait_for)


class FilterHeaders(Case):
    def deliver(self, rules, message=None, config=None, **kwargs):
        sink = self.sink()
        relay = self.relay({"filters": [{"use": "headers", "rule": rules}], **(config or {})}, next_hop=sink.next_hop)
        relay.submit(message, **kwargs)
        return sink.wait(1, relay=relay)[0], relay, sink

    def test_fields_are_added_inserted_replaced_and_removed(self):
        text = plain_message(subject="[ext] hello", extra="X-Internal-Host: a\r\nX-internal-user: b\r\nX-Keep: c\r\n")
        received, _, _ = self.deliver([
            {"action": "remove", "field": "X-Internal-*"},
            {"action": "replace", "field": "Subject", "matches": r"^\[ext\] (.*)", "value": "{1}"},
            {"action": "add", "field": "X-Sender-Domain", "value": "{sender_domain} by {listener}"},
            {"action": "insert", "field": "X-On-Top", "value": "{{{recipients}}}"},
            {"action": "add", "field": "X-Never", "value": "1", "sender_domains": ["example.org"]},
        ], text)
        message = received.message
        self.assertEqual(message["Subject"], "hello")
        self.assertEqual(message["X-Sender-Domain"].split(" by ")[0], "example.test")
        self.assertTrue(received.data.startswith(b"X-On-Top: {1}\r\n"), received.data[:100])
        self.assertEqual(message["X-Keep"], "c")
        self.assertEqual([name for name in message.keys() if name.lower().startswith(("x-internal", "x-never"))], [])

    def test_long_values_are_folded_and_come_out_as_they_were(self):
        words = " ".join(f"word{number}" for number in range(200))
        received, _, _ = self.deliver([{"action": "add", "field": "X-Long", "value": words},
                                       {"action": "add", "field": "X-One-Word", "value": "y" * 2000}])
        header = received.data.split(b"\r\n\r\n")[0].split(b"\r\n")
        self.assertLessEqual(max(len(line) for line in header), 998)
        self.assertEqual(" ".join(received.message["X-Long"].split()), words)
        self.assertEqual("".join(received.message["X-One-Word"].split()), "y" * 2000)
        self.assertTrue(all(line.strip() for line in header))

    def test_the_signature_is_over_what_the_rules_have_made(self):
        path, name, record = generate_key(self.folder)
        key = {"domain": "example.test", "selector": "mail", "private_key": path, "key_type": "rsa"}
        received, _, _ = self.deliver([{"action": "replace", "field": "Subject", "value": "changed"},
                                       {"action": "add", "field": "Reply-To", "value": "answers@example.test"}],
                                      config={"server": {"dkim": [key]}})
        self.assertEqual(received.message["Subject"], "changed")
        self.assertTrue(dkim.verify(received.data, dnsfunc=lambda asked, timeout=5: record))

    def test_rules_for_groups_of_the_provider_hold_in_the_relay_and_in_a_process_apart(self):
        certificate, key = make_certificate(self.folder, addresses=[host()])
        sink = self.sink()
        relay = self.relay(next_hop=sink.next_hop, start=False)
        filters = [{"use": "headers", "name": where, "isolation": where,
                    "rule": [{"action": "add", "field": f"X-{where}", "value": "staff", "groups": ["Staff"]}]}
                   for where in ("none", "process")]
        users = [{"username": name, "password": "secret", "groups": groups}
                 for name, groups in (("ada", ["board", "staff"]), ("bob", ["guests"]))]
        port = free_port()
        relay.write_config({"auth": [{"use": "static", "user": users}], "filters": filters, "server": {"listeners": [
            {"addr": f"{host()}:{relay.port}", "relay_from": []},
            {"addr": f"{host()}:{port}", "relay_from": [],
             "tls": {"mode": "implicit", "cert_path": certificate, "key_path": key}}]}})
        relay.start()
        wait_for(lambda: listening(host(), port), 30, relay.log_tail)
        for user in ("ada", "bob"):
            with smtplib.SMTP_SSL(host(), port, context=trusting(certificate), timeout=240) as client:
                client.login(user, "secret")
                client.sendmail(f"{user}@example.test", ["bob@example.net"], plain_message())
        marks = {one.sender.split("@")[0]: (one.message["X-none"], one.message["X-process"])
                 for one in sink.wait(2, relay=relay)}
        self.assertEqual(marks, {"ada": ("staff", "staff"), "bob": (None, None)})

    def test_new_rules_hold_after_a_reload(self):
        _, relay, sink = self.deliver([{"action": "add", "field": "X-Rule", "value": "old"}])
        relay.write_config({"filters": [{"use": "headers", "rule": [{"action": "add", "field": "X-Rule", "value": "new"}]}]})
        relay.signal(signal.SIGHUP)

        wait_for(lambda: [one for one in relay.events() if one.get("event") == "config.reloaded"], 30, relay.log_tail)
        relay.submit()
        self.assertEqual([one.message["X-Rule"] for one in sink.wait(2, relay=relay)], ["old", "new"])


if __name__ == "__main__":
    main()
