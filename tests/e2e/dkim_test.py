# SPDX-License-Identifier: Apache-2.0
"""Signatures, judged by dkimpy with the very records that `hedwig dkim-generate` prints."""
import logging
import os
import pathlib
import re
import signal

import dkim

from hedwig_harness import Case, generate_key, main, plain_message, wait_for

logging.getLogger("dkimpy").setLevel(logging.CRITICAL)


class Dkim(Case):
    def setUp(self):
        super().setUp()
        self.next_hop = self.sink()
        self.records = {}

    def key(self, domain="example.test", selector="mail", key_type="rsa", **more):
        """One [[server.dkim]] entry, its record known to dkimpy."""
        path, name, record = generate_key(self.folder, domain, selector, key_type)
        self.records[name] = record
        return {"domain": domain, "selector": selector, "private_key": path, "key_type": key_type, **more}

    def dns(self, name, timeout=5):
        return self.records.get(name.decode().rstrip(".").lower())

    def signatures(self, data):
        """The tags of each DKIM-Signature, every one of them verified by dkimpy."""
        fields = re.findall(rb"(?im)^DKIM-Signature:((?:[^\r\n]|\r\n[ \t])*)", data)
        found = []
        for index, field in enumerate(fields):
            verifier = dkim.DKIM(data)
            self.assertTrue(verifier.verify(idx=index, dnsfunc=self.dns), f"signature {index} of\n{data[:3000].decode(errors='replace')}")
            tags = dict(tag.strip().split("=", 1) for tag in re.sub(r"\s+", "", field.decode()).strip(";").split(";"))
            found.append(tags)
        return found

    def deliver(self, relay, **kwargs):
        count = len(self.next_hop.messages)
        relay.submit(**kwargs)
        return self.next_hop.wait(count + 1, relay=relay)[-1].data

    def test_an_rsa_signature_verifies(self):
        relay = self.relay({"server": {"dkim": [self.key()]}}, self.next_hop.next_hop)
        data = self.deliver(relay)
        tags, = self.signatures(data)
        self.assertEqual((tags["a"], tags["c"], tags["d"], tags["s"]), ("rsa-sha256", "relaxed/relaxed", "example.test", "mail"))
        self.assertNotIn("l", tags)
        signed = tags["h"].lower().split(":")
        self.assertGreaterEqual(signed.count("from"), 2, "From is over-signed")
        self.assertTrue({"subject", "to", "date", "message-id"} <= set(signed), signed)

    def test_an_ed25519_signature_verifies(self):
        relay = self.relay({"server": {"dkim": [self.key(key_type="ed25519")]}}, self.next_hop.next_hop)
        tags, = self.signatures(self.deliver(relay))
        self.assertEqual(tags["a"], "ed25519-sha256")

    def test_the_single_table_of_hedwig_0_10_works(self):
        relay = self.relay({"server": {"dkim": self.key()}}, self.next_hop.next_hop)
        self.assertEqual(len(self.signatures(self.deliver(relay))), 1)

    def test_two_signatures_at_once_and_a_key_for_each_domain(self):
        keys = [self.key(selector="r"), self.key(selector="e", key_type="ed25519"), self.key("example.org", "o", "ed25519")]
        relay = self.relay({"server": {"dkim": keys}}, self.next_hop.next_hop)
        tags = self.signatures(self.deliver(relay))
        self.assertEqual(sorted(tag["s"] for tag in tags), ["e", "r"])
        data = self.deliver(relay, sender="carol@example.org", message=plain_message("carol@example.org"))
        self.assertEqual([tag["s"] for tag in self.signatures(data)], ["o"])
        data = self.deliver(relay, sender="mallory@elsewhere.example", message=plain_message("mallory@elsewhere.example"))
        self.assertEqual(self.signatures(data), [], "no key for that domain, no signature")

    def test_awkward_messages_verify_too(self):
        relay = self.relay({"server": {"dkim": [self.key(selector="r"), self.key(selector="e", key_type="ed25519")]}},
                           self.next_hop.next_hop)
        bodies = ["", "\r\n\r\n\r\n", "no line end", "  blanks \t at ends \t\r\n\r\n", ".dots\r\n..\r\n.\r\n", "x" * 900 + "\r\n",
                  ("line\r\n") * 20000, "Gr\u00fc\u00dfe \u2709\r\n"]
        for body in bodies:
            with self.subTest(body=body[:20]):
                text = plain_message(body=body, extra="X-Folded: a\r\n\t b\r\n  c\r\nSubject: a second one\r\nX-Empty:\r\n")
                self.assertEqual(len(self.signatures(self.deliver(relay, message=text.encode()))), 2)

    def test_a_bcc_field_is_removed_before_signing(self):
        relay = self.relay({"server": {"dkim": [self.key()]}}, self.next_hop.next_hop)
        data = self.deliver(relay, message=plain_message(extra="Bcc: x@example.org,\r\n y@example.org\r\n"))
        self.assertNotIn(b"y@example.org", data)
        self.assertEqual(len(self.signatures(data)), 1)

    def test_an_added_from_field_breaks_the_signature(self):
        relay = self.relay({"server": {"dkim": [self.key()]}}, self.next_hop.next_hop)
        data = self.deliver(relay)
        self.assertFalse(dkim.DKIM(b"From: <mallory@example.test>\r\n" + data).verify(dnsfunc=self.dns))

    def test_keys_are_read_again_on_sighup(self):
        first = self.key()
        relay = self.relay({"server": {"dkim": [first]}}, self.next_hop.next_hop)
        before = self.records["mail._domainkey.example.test"]
        self.signatures(self.deliver(relay))
        os.unlink(first["private_key"])
        self.key()  # a new key under the same name, and its record
        self.assertNotEqual(before, self.records["mail._domainkey.example.test"])
        relay.signal(signal.SIGHUP)

        def signed_by_the_new_key():
            return dkim.DKIM(self.deliver(relay)).verify(dnsfunc=self.dns)

        wait_for(signed_by_the_new_key, 20, relay.log_tail, 0.1)

    def test_a_key_that_does_not_load_is_a_start_up_error(self):
        broken = self.folder / "broken.pem"
        broken.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        for path in (broken, self.folder / "absent.pem"):
            with self.subTest(path=path.name):
                relay = self.relay(start=False, config={"server": {"dkim": [{
                    "domain": "example.test", "selector": "mail", "private_key": str(path), "key_type": "rsa"}]}})
                relay.spawn()
                self.assertNotIn(relay.process.wait(20), (0, None))
                relay.process = None
                self.assertIn(path.name, relay.log_text())

    def test_generated_keys_are_private_and_of_the_right_kind(self):
        for key_type, first in (("rsa", "v=DKIM1; k=rsa; p="), ("ed25519", "v=DKIM1; k=ed25519; p=")):
            path, name, record = generate_key(self.folder, "example.test", key_type, key_type)
            self.assertEqual(pathlib.Path(path).stat().st_mode & 0o077, 0)
            self.assertIn("PRIVATE KEY", pathlib.Path(path).read_text())
            self.assertEqual(re.sub(rb"\s", b"", record)[:len(first.replace(" ", ""))].decode(), first.replace(" ", ""))


if __name__ == "__main__":
    main()
