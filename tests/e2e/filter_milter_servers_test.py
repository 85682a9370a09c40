# SPDX-License-Identifier: Apache-2.0
"""filter-milter with real milters: rspamd and opendkim."""
import smtplib

import dkim

from hedwig_harness import Background, Case, free_port, generate_key, host, listening, main, plain_message, tool
from rspamd_server import GTUBE, start_rspamd


class RealMilters(Case):
    def rspamd(self):
        return start_rspamd(self)

    def opendkim(self, canonicalization="simple/simple"):
        folder = self.path("opendkim")
        folder.mkdir()
        port = free_port()
        path, _, self.record = generate_key(folder)
        (folder / "opendkim.conf").write_text(f"""Syslog no
            Mode s
            Domain example.test
            Selector mail
            KeyFile {path}
            RequireSafeKeys no
            InternalHosts 0.0.0.0/0
            Canonicalization {canonicalization}
            """.replace("            ", ""))
        self.opened(Background([tool("opendkim", "opendkim"), "-f", "-x", folder / "opendkim.conf", "-p", f"inet:{port}@{host()}"],
                               folder / "log", lambda: listening(host(), port), timeout=60))
        return {"name": "opendkim", "address": f"inet:{port}@{host()}"}

    def test_mail_is_judged_by_one_and_signed_by_the_next(self):
        sink = self.sink()
        relay = self.relay({"filters": [{"use": "milter", "milter": [self.rspamd(), self.opendkim()]}]}, next_hop=sink.next_hop)
        bodies = ["Hello.\r\n", "", "  blanks \t at ends \t\r\n\r\n\r\n", ".dots\r\n..\r\n", "x" * 900 + "\r\n" + "line\r\n" * 30_000]
        with relay.smtp() as client:
            for body in bodies:
                client.sendmail("alice@example.test", ["bob@example.net"], plain_message(body=body, extra="X-Folded: one\r\n\ttwo\r\n"))
            with self.assertRaises(smtplib.SMTPDataError) as caught:
                client.sendmail("alice@example.test", ["bob@example.net"], plain_message(body=GTUBE))
        self.assertEqual(caught.exception.smtp_code, 554)
        self.assertIn(b"Gtube pattern", caught.exception.smtp_error)
        for received in sink.wait(len(bodies), relay=relay):
            self.assertIn("default: False", received.message["X-Spamd-Result"])
            self.assertEqual(len(received.message.get_all("DKIM-Signature")), 1)
            self.assertIn("c=simple/simple", received.message["DKIM-Signature"])
            self.assertTrue(dkim.verify(received.data, dnsfunc=lambda name, timeout=5: self.record), received.data[:2000])

    def test_one_connection_serves_many_clients(self):
        sink = self.sink()
        relay = self.relay({"filters": [{"use": "milter", "milter": [self.rspamd() | {"max_idle": 4}]}]}, next_hop=sink.next_hop)
        for number in range(1, 6):
            relay.submit()
            self.assertIn("X-Spamd-Result", sink.wait(number, relay=relay)[-1].message)
        self.assertNotIn("a milter ", relay.log_text())


if __name__ == "__main__":
    main()
