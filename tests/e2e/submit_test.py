# SPDX-License-Identifier: Apache-2.0
"""Mail programs hand mail to the relay: what it takes, from whom, and what it refuses."""
import smtplib
import socket
import ssl
import subprocess

from hedwig_harness import Case, free_port, host, main, make_certificate, parse, plain_message, tool, trusting

USER, PASSWORD = "alice", "correct horse"


class Submission(Case):
    def setUp(self):
        super().setUp()
        self.next_hop = self.sink()

    def relay_with_tls(self, **listener):
        """A relay with three listeners: clear, STARTTLS and implicit TLS; nobody relays without AUTH."""
        self.certificate, key = make_certificate(self.folder, addresses=[host()])
        self.starttls_port, self.implicit_port = free_port(), free_port()
        tls = {"cert_path": self.certificate, "key_path": key}
        relay = self.relay(next_hop=self.next_hop.next_hop, start=False)
        relay.write_config({"server": {
            "auth": [{"username": USER, "password": PASSWORD}],
            "listeners": [
                {"addr": f"{host()}:{relay.port}", "relay_from": [], **listener},
                {"addr": f"{host()}:{self.starttls_port}", "relay_from": [], "tls": {**tls, "mode": "starttls"}, **listener},
                {"addr": f"{host()}:{self.implicit_port}", "relay_from": [], "tls": {**tls, "mode": "implicit"}, **listener},
            ]}})
        return relay.start()

    def swaks(self, relay, *options, port=None):
        command = [tool("swaks", "swaks"), "--server", relay.address, "--port", str(port or relay.port), "--helo",
                   "client.example.test", "--from", "alice@example.test", "--to", "bob@example.net", "--timeout", "20",
                   "--header", "Subject: by swaks", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)


class PlainClients(Submission):
    def test_smtplib_hands_over_a_message_that_arrives_as_it_was(self):
        relay = self.relay(next_hop=self.next_hop.next_hop)
        body = "Grüße, and a dot line:\r\n.\r\n..\r\nend\r\n".encode()
        text = plain_message(body="").encode() + body
        self.assertEqual(relay.submit(text), {})
        got = self.next_hop.wait(relay=relay)[0]
        self.assertEqual((got.sender, got.recipients), ("alice@example.test", ["bob@example.net"]))
        self.assertTrue(got.data.endswith(text), "only header fields before the message were added")
        received = parse(got.data)["Received"]
        self.assertRegex(received, r"from client\.example\.test .*127\.")
        self.assertRegex(received, r"by relay\.example\.test")

    def test_smtplib_sees_the_extensions(self):
        relay = self.relay(next_hop=self.next_hop.next_hop)
        with relay.smtp() as client:
            client.ehlo()
            for extension in ("pipelining", "size", "8bitmime", "smtputf8", "enhancedstatuscodes"):
                self.assertTrue(client.has_extn(extension), extension)
            self.assertEqual(client.esmtp_features["size"], "26214400")
            self.assertFalse(client.has_extn("auth"), "AUTH is never offered in clear text")
            self.assertFalse(client.has_extn("starttls"), "no certificate, no STARTTLS")
            for command in ("HELP", "NOOP", "RSET"):
                self.assertIn(client.docmd(command)[0], (214, 250), command)
            self.assertIn(client.docmd("VRFY", "bob@example.net")[0], (252, 502))

    def test_swaks_hands_over_a_message(self):
        relay = self.relay(next_hop=self.next_hop.next_hop)
        done = self.swaks(relay)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.next_hop.wait(relay=relay)[0].message["Subject"], "by swaks")

    def test_date_and_message_id_are_added_where_they_are_missing(self):
        relay = self.relay(next_hop=self.next_hop.next_hop)
        relay.submit("From: <alice@example.test>\r\nSubject: bare\r\n\r\nx\r\n")
        message = self.next_hop.wait(relay=relay)[0].message
        self.assertRegex(message["Date"], r"\d{4} \d\d:\d\d:\d\d")
        self.assertRegex(message["Message-ID"], r"^<[^@\s]+@[^@\s]+>$")

    def test_the_header_never_changes_the_envelope(self):
        relay = self.relay(next_hop=self.next_hop.next_hop)
        relay.submit(plain_message(extra="Cc: carol@example.org\r\nBcc: dave@example.org,\r\n\terin@example.org\r\n"),
                     sender="bounces+bob=example.net@example.test")
        got = self.next_hop.wait(relay=relay)[0]
        self.assertEqual(got.sender, "bounces+bob=example.net@example.test")
        self.assertEqual(got.recipients, ["bob@example.net"])
        self.assertNotIn(b"bcc", got.data.lower())
        self.assertNotIn(b"erin@example.org", got.data, "the folded rest of Bcc goes as well")
        self.assertEqual(got.message["Cc"], "carol@example.org")

    def test_an_smtputf8_message_passes(self):
        relay = self.relay(next_hop=self.next_hop.next_hop)
        with relay.smtp() as client:
            client.ehlo()
            client.sendmail("alicé@example.test", ["bøb@example.net"], plain_message(subject="x").encode(),
                            mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        got = self.next_hop.wait(relay=relay)[0]
        self.assertEqual((got.sender, got.recipients), ("alicé@example.test", ["bøb@example.net"]))

    def test_an_empty_message_passes(self):
        relay = self.relay(next_hop=self.next_hop.next_hop)
        with relay.smtp() as client:
            client.ehlo()
            client.mail("alice@example.test")
            client.rcpt("bob@example.net")
            self.assertEqual(client.docmd("DATA")[0], 354)
            self.assertEqual(client.docmd(".")[0], 250)
        self.next_hop.wait(relay=relay)

    def test_a_pipelined_session_in_one_segment_is_answered_in_order(self):
        relay = self.relay(next_hop=self.next_hop.next_hop)
        with socket.create_connection((relay.address, relay.port), timeout=300) as link:
            stream = link.makefile("rb")
            self.assertTrue(stream.readline().startswith(b"220"))
            link.sendall(b"EHLO a.example.test\r\n")
            while stream.readline()[3:4] == b"-":
                pass
            link.sendall(b"MAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.net>\r\nRCPT TO:<carol@example.net>\r\nDATA\r\n")
            self.assertEqual([stream.readline()[:3] for _ in range(4)], [b"250", b"250", b"250", b"354"])
            link.sendall(b"Subject: one\r\n\r\nx\r\n.\r\nQUIT\r\n")
            self.assertEqual([stream.readline()[:3] for _ in range(2)], [b"250", b"221"])
            self.assertEqual(stream.readline(), b"")
        self.assertEqual(self.next_hop.wait(relay=relay)[0].recipients, ["bob@example.net", "carol@example.net"])

    def test_only_crlf_dot_crlf_ends_the_data(self):
        relay = self.relay(next_hop=self.next_hop.next_hop)
        for ending in (b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r"):
            with self.subTest(ending=ending), socket.create_connection((relay.address, relay.port), timeout=300) as link:
                stream = link.makefile("rb")
                stream.readline()
                link.sendall(b"HELO a.example.test\r\nMAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n")
                for _ in range(4):
                    reply = stream.readline()
                self.assertTrue(reply.startswith(b"354"), reply)
                link.sendall(b"Subject: outer\r\n\r\nx" + ending + b"MAIL FROM:<smuggled@example.test>\r\n"
                             b"RCPT TO:<bob@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\nQUIT\r\n")
                replies = [line[:3] for line in stream.read().splitlines()]
                self.assertLessEqual(replies.count(b"250"), 1, "at most the one outer message is taken")
                self.assertNotIn(b"354", replies)
        relay.submit(plain_message(subject="last"))
        relay.wait_delivery(recipient="bob@example.net", subject="last")
        self.assertNotIn("smuggled@example.test", [got.sender for got in self.next_hop.messages])


class Refusals(Submission):
    def test_it_is_no_open_relay(self):
        relay = self.relay(next_hop=self.next_hop.next_hop, start=False)
        relay.write_config({"server": {"listeners": [{"addr": f"{relay.address}:{relay.port}", "relay_from": [],
                                                      "relay_domains": ["ours.example"]}]}})
        relay.start()
        with relay.smtp() as client:
            client.ehlo()
            client.mail("stranger@example.org")
            for address in ("bob@example.net", "bob%example.net@ours.example.org", "<@ours.example:bob@example.net>",
                            "bob@ours.example.example.net", "bob@[127.0.0.1]", '"bob@example.net"@example.org'):
                code, text = client.docmd("RCPT", f"TO:{address}" if address[0] == "<" else f"TO:<{address}>")
                self.assertIn(code // 100, (5,), f"{address}: {code} {text}")
            code, text = client.rcpt("bob@example.net")
            self.assertEqual((code, text[:5]), (550, b"5.7.1"))
            self.assertEqual(client.rcpt("carol@ours.example")[0], 250, "we are the gateway of relay_domains")

    def test_an_address_outside_relay_from_may_not_relay(self):
        relay = self.relay(next_hop=self.next_hop.next_hop, start=False)
        relay.write_config({"server": {"listeners": [{"addr": f"{relay.address}:{relay.port}",
                                                      "relay_from": [f"{host(7)}/32"]}]}})
        relay.start()
        self.assertEqual(relay.submit(source=host(7)), {})
        with self.assertRaises(smtplib.SMTPRecipientsRefused) as caught:
            relay.submit(source=host(8))
        self.assertEqual(caught.exception.recipients["bob@example.net"][0], 550)

    def test_postmaster_without_a_domain_is_taken_where_mail_is_taken_for_a_domain(self):
        sink = self.sink()
        for listener, wanted in (({"relay_from": []}, 550), ({"relay_from": [], "relay_domains": ["example.net"]}, 250), ({}, 250)):
            with self.subTest(listener=listener):
                relay = self.relay(next_hop=sink.next_hop, start=False)
                listener = {"addr": f"{relay.address}:{relay.port}", **listener}
                own = {} if "relay_domains" in listener else {"postmaster": "ops@example.org"}
                relay.write_config({"server": {"listeners": [listener], **own}})
                relay.start()
                before = len(sink.messages)
                with relay.smtp() as client:
                    client.ehlo()
                    client.mail("stranger@example.org")
                    self.assertEqual(client.docmd("RCPT TO:<PostMaster>")[0], wanted)
                    if wanted == 250:
                        self.assertEqual(client.data(plain_message())[0], 250)
                        got = sink.wait(before + 1, relay=relay)[-1]
                        self.assertEqual(got.recipients, [own.get("postmaster", "postmaster@relay.example.test")])
                relay.stop()

    def test_too_large_messages_are_refused_at_mail_and_at_the_end_of_data(self):
        relay = self.relay({"server": {"max_message_size": 10000}}, self.next_hop.next_hop)
        with relay.smtp() as client:
            client.ehlo()
            code, text = client.mail("alice@example.test", ["SIZE=10001"])
            self.assertEqual((code, text[:5]), (552, b"5.3.4"))
            client.mail("alice@example.test")
            client.rcpt("bob@example.net")
            code, text = client.data(plain_message(body="x" * 70 + "\r\n" * 10 + ("y" * 70 + "\r\n") * 200))
            self.assertEqual((code, text[:5]), (552, b"5.3.4"))
            self.assertEqual(client.sendmail("alice@example.test", ["bob@example.net"], plain_message()), {},
                             "the session goes on")

    def test_connections_above_the_limit_get_421(self):
        relay = self.relay({"server": {"max_connections": 3}}, self.next_hop.next_hop)
        links = [relay.smtp() for _ in range(3)]
        with socket.create_connection((relay.address, relay.port), timeout=300) as extra:
            self.assertRegex(extra.recv(200), rb"^421 4\.7\.0 ")
        for link in links:
            link.quit()
        for attempt in range(200):  # the sessions end a moment after their clients
            try:
                relay.smtp().quit()
                return
            except smtplib.SMTPException as error:
                last = error
        self.fail(f"still refused: {last}")

    def test_wrong_order_and_nonsense_are_refused_and_the_session_goes_on(self):
        relay = self.relay(next_hop=self.next_hop.next_hop)
        with relay.smtp() as client:
            client.ehlo()
            self.assertEqual(client.docmd("RCPT", "TO:<bob@example.net>")[0], 503)
            self.assertEqual(client.docmd("DATA")[0], 503)
            self.assertEqual(client.docmd("XYZZY")[0], 500)
            self.assertEqual(client.docmd("MAIL", "FROM:alice@@example.test>")[0], 501)
            self.assertEqual(client.sendmail("alice@example.test", ["bob@example.net"], plain_message()), {})

    def test_http_ends_the_session(self):
        relay = self.relay(next_hop=self.next_hop.next_hop)
        with socket.create_connection((relay.address, relay.port), timeout=300) as link:
            link.recv(200)
            link.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n\r\nMAIL FROM:<a@example.test>\r\n")
            stream = link.makefile("rb").read()
            self.assertNotIn(b"250", stream)


class Authentication(Submission):
    def test_auth_plain_and_login_over_starttls_and_implicit_tls(self):
        relay = self.relay_with_tls()
        for port, implicit in ((self.starttls_port, False), (self.implicit_port, True)):
            for mechanism in ("auth_plain", "auth_login"):
                with self.subTest(port=port, mechanism=mechanism):
                    if implicit:
                        client = smtplib.SMTP_SSL(relay.address, port, "client.example.test", timeout=30,
                                                  context=trusting(self.certificate))
                    else:
                        client = relay.smtp(port)
                        client.starttls(context=trusting(self.certificate))
                    with client:
                        client.ehlo()
                        self.assertEqual(set(client.esmtp_features["auth"].split()) & {"PLAIN", "LOGIN"}, {"PLAIN", "LOGIN"})
                        client.user, client.password = USER, PASSWORD
                        code, _ = client.auth(mechanism[5:].upper(), getattr(client, mechanism))
                        self.assertEqual(code, 235)
                        self.assertEqual(client.sendmail("alice@example.test", ["bob@example.net"], plain_message()), {})
        for got in self.next_hop.wait(4, relay=relay):
            self.assertRegex(got.message["Received"], r"with (UTF8)?ESMTPSA")

    def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(self):
        relay = self.relay_with_tls()
        answers = []
        for user, password in ((USER, "Xylophone77"), ("nobody", PASSWORD), ("x" * 50, "y" * 200)):
            client = relay.smtp(self.starttls_port)
            with client:
                client.starttls(context=trusting(self.certificate))
                client.ehlo()
                with self.assertRaises(smtplib.SMTPAuthenticationError) as caught:
                    client.login(user, password)
                answers.append((caught.exception.smtp_code, caught.exception.smtp_error))
                self.assertEqual(client.docmd("MAIL", "FROM:<alice@example.test>")[0] // 100, 2)
                self.assertEqual(client.docmd("RCPT", "TO:<bob@example.net>")[0] // 100, 5, "still no relaying")
        self.assertEqual(answers[0][0], 535)
        self.assertEqual(answers[0][1][:5], b"5.7.8")
        self.assertEqual(len(set(answers)), 1, answers)
        self.assertNotIn(PASSWORD, relay.log_text())
        self.assertNotIn("Xylophone77", relay.log_text())

    def test_auth_in_clear_text_is_neither_offered_nor_taken(self):
        relay = self.relay_with_tls()
        for port in (relay.port, self.starttls_port):
            with relay.smtp(port) as client:
                client.ehlo()
                self.assertFalse(client.has_extn("auth"))
                self.assertIn(client.docmd("AUTH", "PLAIN AGFsaWNlAGNvcnJlY3QgaG9yc2U=")[0], (502, 503, 504, 538, 530, 554))
                client.mail("alice@example.test")
                self.assertEqual(client.rcpt("bob@example.net")[0] // 100, 5)

    def test_auth_plain_without_initial_response(self):
        relay = self.relay_with_tls()
        with relay.smtp(self.starttls_port) as client:
            client.starttls(context=trusting(self.certificate))
            client.ehlo()
            self.assertEqual(client.docmd("AUTH", "PLAIN")[0], 334)
            self.assertEqual(client.docmd("AGFsaWNlAGNvcnJlY3QgaG9yc2U=")[0], 235)

    def test_swaks_by_starttls_and_auth(self):
        relay = self.relay_with_tls()
        for port, options in ((self.starttls_port, ["--tls"]), (self.implicit_port, ["--tlsc"])):
            for mechanism in ("PLAIN", "LOGIN"):
                with self.subTest(port=port, mechanism=mechanism):
                    done = self.swaks(relay, *options, "--auth", mechanism, "--auth-user", USER, "--auth-password", PASSWORD,
                                      port=port)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                    self.assertIn("235", done.stdout)
        done = self.swaks(relay, "--tls", "--auth", "PLAIN", "--auth-user", USER, "--auth-password", "no", port=self.starttls_port)
        self.assertNotEqual(done.returncode, 0)
        self.next_hop.wait(4, relay=relay)

    def test_what_was_said_before_starttls_is_forgotten(self):
        relay = self.relay_with_tls()
        with socket.create_connection((relay.address, self.starttls_port), timeout=300) as link:
            link.recv(1000)
            link.sendall(b"EHLO a.example.test\r\n")
            link.recv(4000)
            # The command after STARTTLS in the same segment must not be answered inside TLS.
            link.sendall(b"STARTTLS\r\nMAIL FROM:<injected@example.test>\r\n")
            reply = link.recv(1000)
            if not reply.startswith(b"220"):
                return  # refused: just as well
            with trusting(self.certificate).wrap_socket(link, server_hostname="relay.example.test") as secure:
                secure.sendall(b"NOOP\r\n")
                try:
                    answer = secure.recv(1000)
                except (ssl.SSLError, ConnectionError):
                    return
                self.assertNotIn(b"2.1.0", answer)
                self.assertLessEqual(answer.count(b"\r\n"), 1)

    def test_old_tls_is_refused(self):
        relay = self.relay_with_tls()
        context = trusting(self.certificate)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            smtplib.SMTP_SSL(relay.address, self.implicit_port, context=context, timeout=20)


if __name__ == "__main__":
    main()
