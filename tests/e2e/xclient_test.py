# SPDX-License-Identifier: Apache-2.0
"""XCLIENT: swaks as a front end, and what then counts for whom."""
import subprocess

from hedwig_harness import PATIENCE, Case, host, main, tool

FRONT, CLIENT = 7, "192.0.2.33"


class Xclient(Case):
    def fronted(self, listener, **server):
        self.sink_ = self.sink()
        relay = self.relay(next_hop=self.sink_.next_hop, start=False)
        entry = {"addr": f"{relay.address}:{relay.port}", "name": "in", "xclient_from": [host(FRONT)], **listener}
        relay.write_config({"server": {"listeners": [entry], **server}})
        self.relay_ = relay.start()

    def swaks(self, *options, source=FRONT):
        done = subprocess.run([tool("swaks", "swaks"), "--server", f"{self.relay_.address}:{self.relay_.port}", "--local-interface",
                               host(source), "--from", "a@example.test", "--to", "b@example.net", "--helo", "client.example",
                               *options], capture_output=True, text=True, timeout=60 * PATIENCE)
        return done.returncode, done.stdout + done.stderr

    def test_the_client_it_names_counts(self):
        self.fronted({"relay_from": [CLIENT]})
        code, text = self.swaks("--xclient-name", "spike.example.org", "--xclient-addr", CLIENT, "--xclient-port", "4711")
        self.assertEqual(code, 0, text)
        received = self.sink_.wait(relay=self.relay_)[0].message.get_all("Received")[0]
        self.assertIn("client.example", received)
        self.assertIn(f"spike.example.org [{CLIENT}]", received)
        accepted, = [event for event in self.relay_.events() if event["event"] == "message.accepted"]
        self.assertEqual(accepted["peer"], f"{CLIENT}:4711")
        code, text = self.swaks("--xclient-addr", "192.0.2.34")
        self.assertIn("550 5.7.1 Relaying denied", text)
        code, text = self.swaks("--xclient-addr", "[UNAVAILABLE]")
        self.assertIn("550 5.7.1 Relaying denied", text)

    def test_others_are_not_believed(self):
        self.fronted({"relay_from": [CLIENT]})
        code, text = self.swaks("--xclient-addr", CLIENT, source=FRONT + 1)
        self.assertNotEqual(code, 0)
        self.assertIn("Host did not advertise XCLIENT", text)
        with self.relay_.smtp(source=host(FRONT + 1)) as client:
            self.assertEqual(client.docmd("XCLIENT", f"ADDR={CLIENT}"), (550, b"5.7.1 XCLIENT is not for you"))

    def test_its_word_for_a_login_counts_where_the_listener_says_so(self):
        for believed in (False, True):
            with self.subTest(believed=believed):
                self.fronted({"relay_from": [], "xclient_login": believed})
                code, text = self.swaks("--xclient-addr", CLIENT, "--xclient-login", "ann", "--xclient-no-verify")
                self.assertEqual(code == 0, believed, text)
                self.assertEqual("DESTPORT LOGIN" in text, believed)
                if believed:
                    accepted, = [event for event in self.relay_.events() if event["event"] == "message.accepted"]
                    self.assertEqual((accepted["user"], accepted["protocol"]), ("ann", "ESMTPA"))
                self.relay_.stop()

    def test_the_limits_are_those_of_the_client_it_names(self):
        self.fronted({"relay_from": ["192.0.2.0/24"]}, policies=[{"messages_per_minute": 1}])
        answers = [self.swaks("--xclient-addr", f"192.0.2.{number}")[1] for number in (1, 2, 2, 3)]
        self.assertEqual(["450 4.7.1" in text for text in answers], [False, False, True, False])


if __name__ == "__main__":
    main()
