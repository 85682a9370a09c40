# SPDX-License-Identifier: Apache-2.0
"""hedwig-sink as its users see it: judged by smtplib and, where it is installed, Postfix's smtp-source."""
import glob
import json
import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

PROGRAM = os.path.join(os.environ["HEDWIG_BUILD_DIR"], "bin", "hedwig-sink")
MESSAGE = b"From: a@x.test\r\nSubject: hello\r\n world\r\n\r\n.dot\r\n..\r\nend\r\n"


def read(path, mode="r"):
    with open(path, mode) as f:
        return f.read()


class Sink:
    def __init__(self, *options):
        self.folder = tempfile.mkdtemp(prefix="hedwig-sink-test-")
        self.stats_file = os.path.join(self.folder, "stats.json")
        self.store = os.path.join(self.folder, "store")
        self.output = os.path.join(self.folder, "output")  # a file: a pipe that nobody reads would stop the sink
        with open(self.output, "w") as out:
            self.process = subprocess.Popen(
                [PROGRAM, "--listen", "127.0.0.1:0", "--print", "--store", self.store, "--stats", self.stats_file,
                 *options], stdout=out, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        assert "listening on" in line, line
        self.port = int(line.rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
        self.process.stderr.close()
        shutil.rmtree(self.folder)

    def client(self):
        return smtplib.SMTP("127.0.0.1", self.port, timeout=10)

    def raw(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return s, s.makefile("rb")

    def messages(self):
        found = sorted(glob.glob(os.path.join(self.store, "*.eml")))
        return [(read(f, "rb"), json.loads(read(f[:-4] + ".json"))) for f in found]

    def end(self):
        """Ends it; gives its status, its output and its totals."""
        self.process.terminate()
        status = self.process.wait(10)
        return status, read(self.output), json.loads(read(self.stats_file))


class SinkTest(unittest.TestCase):
    def test_keeps_a_message_and_its_envelope(self):
        with Sink() as sink:
            with sink.client() as c:
                self.assertEqual({}, c.sendmail("a@x.test", ["b@y.test", "c@y.test"], MESSAGE))
            text, envelope = sink.messages()[0]
            self.assertEqual(MESSAGE, text)
            self.assertEqual("a@x.test", envelope["mail_from"])
            self.assertEqual(["b@y.test", "c@y.test"], envelope["rcpt_to"])
            self.assertEqual(250, envelope["reply"])
            status, out, totals = sink.end()
            self.assertEqual(0, status)
            self.assertIn('from=<a@x.test> to=<b@y.test>,<c@y.test> size=%d subject="hello world"' % len(MESSAGE), out)
            self.assertEqual((1, 1, 2, len(MESSAGE)),
                             tuple(totals[k] for k in ("connections", "messages", "recipients", "bytes")))

    def test_replies_as_told(self):
        with Sink("--reply", "rcpt:*@gone.test=550 5.1.1 Gone", "--reply", "mail:spam@*=451 4.7.1 Later",
                  "--reply", "dot:big@*=552 5.3.4 Too big") as sink:
            with sink.client() as c:
                refused = c.sendmail("a@x.test", ["b@gone.test", "b@y.test"], MESSAGE)
                self.assertEqual({"b@gone.test": (550, b"5.1.1 Gone")}, refused)
                with self.assertRaises(smtplib.SMTPSenderRefused) as seen:
                    c.sendmail("spam@x.test", ["b@y.test"], MESSAGE)
                self.assertEqual(451, seen.exception.smtp_code)
                with self.assertRaises(smtplib.SMTPDataError) as seen:
                    c.sendmail("big@x.test", ["b@y.test"], MESSAGE)
                self.assertEqual(552, seen.exception.smtp_code)
            self.assertEqual(1, len(sink.messages()))
            _, _, totals = sink.end()
            self.assertEqual((1, 1, 1), tuple(totals[k] for k in ("messages", "messages_refused", "recipients_refused")))

    def test_refuses_connections_as_told(self):
        with Sink("--reply", "connect=554 5.7.1 No") as sink:
            with self.assertRaises(smtplib.SMTPConnectError) as seen:
                sink.client()
            self.assertEqual(554, seen.exception.smtp_code)

    def test_closes_after_421(self):
        with Sink("--reply", "rcpt=421 4.7.0 Enough") as sink:
            s, f = sink.raw()
            s.sendall(b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n")
            self.assertIn(b"421 4.7.0 Enough\r\n", f.read())
            f.close()
            s.close()

    def test_loses_the_reply_after_the_dot_and_keeps_the_message(self):
        with Sink("--drop", "dot") as sink:
            c = sink.client()
            with self.assertRaises(smtplib.SMTPServerDisconnected):
                c.sendmail("a@x.test", ["b@y.test"], MESSAGE)
            self.assertEqual(0, sink.messages()[0][1]["reply"])
            _, _, totals = sink.end()
            self.assertEqual((1, 1), (totals["messages"], totals["replies_dropped"]))

    def test_drops_the_connection_at_every_stage(self):
        for stage in ("connect", "ehlo", "mail", "rcpt", "data", "body"):
            with self.subTest(stage), Sink("--drop", stage) as sink:
                with self.assertRaises(smtplib.SMTPServerDisconnected):
                    c = sink.client()
                    c.sendmail("a@x.test", ["b@y.test"], MESSAGE)
                self.assertEqual([], sink.messages())
                self.assertEqual(1, sink.end()[2]["drops"])

    def test_delays_replies_and_keeps_their_order(self):
        with Sink("--delay", "rcpt=300ms") as sink:
            s, f = sink.raw()
            begin = time.monotonic()
            s.sendall(b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n")
            codes = [line[:3] for line in f.read().splitlines() if line[3:4] == b" "]
            self.assertGreaterEqual(time.monotonic() - begin, 0.6)
            self.assertEqual([b"220", b"250", b"250", b"250", b"250", b"354", b"250", b"221"], codes)
            f.close()
            s.close()

    def test_speaks_tls_with_a_certificate_of_its_own(self):
        with Sink("--starttls", "on") as sink:
            with sink.client() as c:
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                c.starttls(context=context)
                c.ehlo()
                self.assertFalse(c.has_extn("starttls"))
                c.sendmail("a@x.test", ["b@y.test"], MESSAGE)
            self.assertTrue(sink.messages()[0][1]["tls"])

    def test_forgets_clear_text_behind_starttls(self):
        with Sink("--starttls", "on") as sink:
            s, f = sink.raw()
            s.sendall(b"EHLO a\r\nSTARTTLS\r\nMAIL FROM:<evil@x>\r\n")
            while not f.readline().startswith(b"220 2.0.0"):
                pass
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            t = context.wrap_socket(s)
            t.sendall(b"RCPT TO:<a@b>\r\n")
            self.assertTrue(t.recv(100).startswith(b"503"))
            t.close()
            f.close()

    def test_speaks_tls_from_the_first_byte_and_authenticates(self):
        with Sink("--implicit-tls", "--auth", "user:secret") as sink:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with smtplib.SMTP_SSL("127.0.0.1", sink.port, context=context, timeout=10) as c:
                with self.assertRaises(smtplib.SMTPSenderRefused):
                    c.sendmail("a@x.test", ["b@y.test"], MESSAGE)
                with self.assertRaises(smtplib.SMTPAuthenticationError):
                    c.login("user", "wrong")
                c.login("user", "secret")
                c.sendmail("a@x.test", ["b@y.test"], MESSAGE)

    def test_leaves_features_out(self):
        with Sink("--features", "no-pipelining,no-8bitmime,no-smtputf8,no-size,no-enhancedstatuscodes") as sink:
            with sink.client() as c:
                c.ehlo()
                self.assertEqual({}, c.esmtp_features)
        with Sink("--features", "no-ehlo") as sink:
            with sink.client() as c:
                self.assertEqual(502, c.ehlo()[0])
                c.sendmail("a@x.test", ["b@y.test"], MESSAGE)

    def test_keeps_its_limits(self):
        with Sink("--max-size", "100", "--max-recipients", "2") as sink:
            with sink.client() as c:
                refused = c.sendmail("a@x.test", ["a@y.test", "b@y.test", "c@y.test"], MESSAGE)
                self.assertEqual(["c@y.test"], list(refused))
                self.assertEqual(452, refused["c@y.test"][0])
                with self.assertRaises(smtplib.SMTPSenderRefused):  # SIZE=
                    c.sendmail("a@x.test", ["b@y.test"], b"x" * 200)
                c.ehlo()
                c.mail("a@x.test")
                c.rcpt("b@y.test")
                self.assertEqual(552, c.data(b"x" * 200)[0])

    def test_ends_data_only_at_crlf_dot_crlf_and_counts_other_line_ends(self):
        with Sink() as sink:
            s, f = sink.raw()
            s.sendall(b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\none\n.\nMAIL FROM:<evil@x>\r\n.\r\nQUIT\r\n")
            f.read()
            text, envelope = sink.messages()[0]
            self.assertEqual(b"one\n.\nMAIL FROM:<evil@x>\r\n", text)
            self.assertEqual(2, envelope["bare_line_ends"])
            self.assertEqual(1, len(sink.messages()))
            f.close()
            s.close()

    def test_ends_after_a_number_of_messages(self):
        with Sink("--count", "2") as sink:
            with sink.client() as c:
                c.sendmail("a@x.test", ["b@y.test"], MESSAGE)
                c.sendmail("a@x.test", ["b@y.test"], MESSAGE)
            self.assertEqual(0, sink.process.wait(10))

    def test_goes_on_counting_in_a_folder_that_has_messages(self):
        folder = tempfile.mkdtemp(prefix="hedwig-sink-test-")
        try:
            for _ in range(2):
                with Sink("--store", folder) as sink:
                    with sink.client() as c:
                        c.sendmail("a@x.test", ["b@y.test"], MESSAGE)
            self.assertEqual(["1.eml", "1.json", "2.eml", "2.json"], sorted(os.listdir(folder)))
        finally:
            shutil.rmtree(folder)

    def test_takes_thousands_of_messages_from_smtp_source(self):
        source = shutil.which("smtp-source", path="/usr/sbin:" + os.environ.get("PATH", ""))
        if source is None:
            self.skipTest("smtp-source is not installed")
        with Sink() as sink:
            subprocess.run([source, "-s", "20", "-d", "-m", "2000", "-l", "2048", "-f", "a@x.test", "-t", "b@y.test",
                            "127.0.0.1:%d" % sink.port], check=True, timeout=60)
            totals = sink.end()[2]
            self.assertEqual((20, 2000), (totals["connections"], totals["messages"]))

    def test_survives_hostile_clients(self):
        with Sink() as sink:
            for blob in (b"\0" * 100_000, b"A" * 100_000, b"\r\n" * 1000, b"MAIL FROM:" + b"<" * 9000 + b"\r\n",
                         b"EHLO a\r\nAUTH PLAIN =\r\n*\r\n", b"\x16\x03\x01\x00" * 100):
                s, f = sink.raw()
                try:
                    s.sendall(blob)
                    s.shutdown(socket.SHUT_WR)
                    f.read()
                except OSError:
                    pass
                f.close()
                s.close()
            with sink.client() as c:
                c.sendmail("a@x.test", ["b@y.test"], MESSAGE)
            self.assertEqual(0, sink.end()[0])

    def test_explains_itself(self):
        helped = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, timeout=10)
        self.assertEqual(0, helped.returncode)
        for option in ("--listen", "--reply", "--delay", "--drop", "--store", "--starttls", "--count", "--features"):
            self.assertIn(option, helped.stdout)
        wrong = subprocess.run([PROGRAM, "--reply", "rcpt"], capture_output=True, text=True, timeout=10)
        self.assertEqual(2, wrong.returncode)
        self.assertIn("--reply", wrong.stderr)
        with Sink() as sink:
            taken = subprocess.run([PROGRAM, "--listen", "127.0.0.1:%d" % sink.port], capture_output=True, text=True, timeout=10)
            self.assertEqual(1, taken.returncode)


if __name__ == "__main__":
    unittest.main(verbosity=2)
