# SPDX-License-Identifier: Apache-2.0
"""hedwig-sink does as it is told; Python's smtplib and swaks are the judges."""
import json
import signal
import smtplib
import ssl
import subprocess

from hedwig_harness import Background, Case, free_port, host, listening, main, plain_message, program, tool, wait_for


class Sink(Case):
    def start(self, *arguments):
        self.port = free_port()
        self.log = self.path("sink.log")
        command = [program("hedwig-sink"), "--listen", f"{host()}:{self.port}", *map(str, arguments)]
        return self.opened(Background(command, self.log, lambda: listening(host(), self.port)))

    def client(self):
        return smtplib.SMTP(host(), self.port, "client.example.test", timeout=300)

    def send(self, recipients=("bob@example.net",), **kwargs):
        with self.client() as client:
            return client.sendmail(kwargs.pop("sender", "alice@example.test"), list(recipients), plain_message(**kwargs))

    def test_messages_and_envelopes_are_kept(self):
        mail = self.folder / "mail"
        sink = self.start("--store", mail, "--print", "--stats", self.folder / "stats.json")
        text = plain_message(subject="kept", body=".dot\r\nend\r\n")
        with self.client() as client:
            client.sendmail("alice@example.test", ["bob@example.net", "carol@example.net"], text)
        files = wait_for(lambda: sorted(mail.glob("*.eml")), 10, sink.text)
        self.assertEqual(files[0].read_bytes(), text.encode())
        envelope = json.loads(files[0].with_suffix(".json").read_text())
        self.assertEqual((envelope["mail_from"], envelope["rcpt_to"]), ("alice@example.test", ["bob@example.net", "carol@example.net"]))
        self.assertIn("kept", sink.text())
        sink.process.send_signal(signal.SIGTERM)
        self.assertEqual(sink.process.wait(20), 0)
        self.assertEqual(json.loads((self.folder / "stats.json").read_text())["messages"], 1)

    def test_replies_by_stage_and_address(self):
        self.start("--reply", "rcpt:*@gone.test=550 5.1.1 No such user", "--reply", "rcpt:later@*=450 4.2.0 Come back",
                   "--reply", "mail:spam@*=554 5.7.1 No")
        self.assertEqual(self.send(["a@gone.test", "later@example.net", "bob@example.net"]),
                         {"a@gone.test": (550, b"5.1.1 No such user"), "later@example.net": (450, b"4.2.0 Come back")})
        with self.assertRaises(smtplib.SMTPSenderRefused):
            self.send(sender="spam@example.test")

    def test_a_dropped_reply_still_counts_the_message(self):
        sink = self.start("--drop", "dot", "--print")
        with self.assertRaises(smtplib.SMTPServerDisconnected):
            self.send(subject="vanished")
        wait_for(lambda: "vanished" in sink.text(), 10, sink.text)

    def test_it_ends_after_so_many(self):
        sink = self.start("--count", 3, "--summary")
        for _ in range(3):
            self.send()
        self.assertEqual(sink.process.wait(20), 0)
        self.assertIn("3", sink.text())

    def test_starttls_auth_and_sizes(self):
        self.start("--starttls", "on", "--auth", "user:secret", "--max-size", 2000)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with self.client() as client:
            client.starttls(context=context)
            client.login("user", "secret")
            self.assertEqual(client.sendmail("a@example.test", ["b@example.net"], plain_message()), {})
            with self.assertRaises((smtplib.SMTPDataError, smtplib.SMTPSenderRefused)) as caught:
                client.sendmail("a@example.test", ["b@example.net"], plain_message(body="x" * 70 + "\r\n" + ("y" * 60 + "\r\n") * 60))
            self.assertEqual(caught.exception.smtp_code, 552)

    def test_swaks_gets_through(self):
        self.start("--starttls", "on")
        done = subprocess.run([tool("swaks", "swaks"), "--server", host(), "--port", str(self.port), "--to", "bob@example.net",
                               "--from", "alice@example.test", "--tls", "--timeout", "20"], capture_output=True, text=True,
                              timeout=300, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_wrong_command_line_exits_2(self):
        for arguments in (["--reply", "nonsense"], ["--nonsense"], ["--listen"], ["--max-size", "big"]):
            done = subprocess.run([program("hedwig-sink"), *arguments], capture_output=True, text=True, timeout=300)
            self.assertEqual(done.returncode, 2, f"{arguments}: {done.stdout}{done.stderr}")
            self.assertIn(arguments[0], done.stdout + done.stderr)


if __name__ == "__main__":
    main()
