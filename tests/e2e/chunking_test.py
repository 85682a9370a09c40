# SPDX-License-Identifier: Apache-2.0
"""CHUNKING and BINARYMIME (RFC 3030), and extensions that a listener leaves out."""
import random
import socketserver
import subprocess
import threading

from hedwig_harness import STORES, Case, host, main, make_certificate, plain_message, trusting, wait_for


def submit(client, text, cuts, parameters=(), recipient="bob@example.net"):
    """By BDAT, cut at these places; gives the last reply."""
    client.ehlo_or_helo_if_needed()
    code, answer = client.mail("alice@example.test", list(parameters))
    assert code == 250, answer
    code, answer = client.rcpt(recipient)
    assert code == 250, answer
    places = [0, *cuts, len(text)]
    for number in range(1, len(places)):
        piece = text[places[number - 1]:places[number]]
        client.send(b"BDAT %d%s\r\n" % (len(piece), b" LAST" if number + 1 == len(places) else b"") + piece)
        reply = client.getreply()
        if reply[0] != 250:
            return reply
    return reply


class BinaryHop:
    """A next hop with BINARYMIME, by hand: keeps the last message it got."""

    def __init__(self, extensions=(b"CHUNKING", b"BINARYMIME")):
        hop = self
        self.messages = []
        self.said = []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write(b"220 hop.example.net ESMTP\r\n")
                while line := self.rfile.readline():
                    hop.said.append(line)
                    words = line.split()
                    if words[0] == b"EHLO":
                        self.wfile.write(b"".join(b"250-" + one + b"\r\n" for one in (b"hop.example.net", *extensions)) + b"250 PIPELINING\r\n")
                    elif words[0] == b"BDAT":
                        hop.messages.append(self.rfile.read(int(words[1])))
                        self.wfile.write(b"250 2.0.0 taken\r\n")
                    elif words[0] == b"QUIT":
                        self.wfile.write(b"221 2.0.0 bye\r\n")
                        return
                    else:
                        self.wfile.write(b"250 2.0.0 ok\r\n")

        self.server = socketserver.ThreadingTCPServer((host(2), 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def next_hop(self):
        return "%s:%d" % self.server.server_address

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Chunks(Case):
    def test_any_cut_stores_what_data_stores(self):
        generator = random.Random(3030)
        text = plain_message(body=".dots\r\n..\r\n.\r\n" * 2000 + "Grüße\r\n").encode()
        for store in STORES:
            for stage_above in ("256KiB", "8KiB"):
                with self.subTest(store=store, stage_above=stage_above):
                    sink = self.sink()
                    relay = self.relay({"queue": {"stage_above": stage_above}}, next_hop=sink.next_hop, store=store)
                    with relay.smtp() as client:
                        client.sendmail("alice@example.test", ["bob@example.net"], text)
                        for cuts in ([], sorted(generator.sample(range(len(text)), 200)), [0, 5, 5, len(text)]):
                            self.assertEqual(submit(client, text, cuts)[0], 250)
                    got = sink.wait(4, relay=relay)
                    self.assertTrue(all(one.data.endswith(text) for one in got), "only header fields before it were added")

    def test_under_tls_in_one_piece(self):
        sink = self.sink()
        certificate, key = make_certificate(self.folder)
        relay = self.relay(next_hop=sink.next_hop, start=False)
        relay.config["server"]["listeners"][0]["tls"] = {"cert_path": certificate, "key_path": key, "mode": "starttls"}
        relay.start()
        text = plain_message(body="line\r\n" * 100).encode()
        with relay.smtp() as client:
            client._host = "relay.example.test"
            client.starttls(context=trusting(certificate))
            client.ehlo()
            client.send(b"MAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.net>\r\nBDAT 100\r\n" + text[:100] +
                        b"BDAT %d LAST\r\n" % (len(text) - 100) + text[100:] + b"NOOP\r\n")
            self.assertEqual([client.getreply()[0] for _ in range(5)], [250] * 5)
        self.assertTrue(sink.wait(relay=relay)[0].data.endswith(text))

    def test_the_limit_counts_over_all_chunks(self):
        sink = self.sink()
        relay = self.relay({"server": {"max_message_size": "10KiB"}}, next_hop=sink.next_hop)
        with relay.smtp() as client:
            code, answer = submit(client, plain_message(body="x" * 70 + "\r\n").encode() * 200, range(1000, 20000, 1000))
            self.assertEqual((code, answer[:5]), (552, b"5.3.4"))
            client.rset()
            self.assertEqual(submit(client, plain_message().encode(), [])[0], 250)
        self.assertEqual(len(sink.wait(relay=relay)), 1)

    def test_a_client_that_leaves_between_chunks_leaves_nothing(self):
        sink = self.sink()
        relay = self.relay({"queue": {"stage_above": "8KiB"}}, next_hop=sink.next_hop)
        with relay.smtp() as client:
            client.ehlo()
            client.mail("alice@example.test")
            client.rcpt("bob@example.net")
            text = plain_message(body="line\r\n" * 10000).encode()
            client.send(b"BDAT %d\r\n" % len(text) + text)
            self.assertEqual(client.getreply()[0], 250)
            client.sock.close()
            client.sock = None
        relay.submit(recipients=["carol@example.net"])
        sink.wait(relay=relay)
        wait_for(lambda: relay.queue() == [], 20, relay.log_tail)
        self.assertEqual([got.recipients for got in sink.messages], [["carol@example.net"]])


BINARY = b"From: alice@example.test\r\nSubject: binary\r\nMIME-Version: 1.0\r\n\r\n" + bytes(range(256)) * 40 + b"\r\n.\r\n\n.\n\r"


class Binary(Case):
    def test_it_reaches_a_hop_that_takes_it_byte_for_byte(self):
        for store in STORES:
            for stage_above in ("256KiB", "4KiB"):
                with self.subTest(store=store, stage_above=stage_above):
                    hop = self.opened(BinaryHop())
                    relay = self.relay({"queue": {"stage_above": stage_above}}, next_hop=hop.next_hop, store=store)
                    with relay.smtp() as client:
                        self.assertEqual(submit(client, BINARY, [30, 100, 5000], ["BODY=BINARYMIME"])[0], 250)
                    wait_for(lambda: hop.messages, 20, relay.log_tail)
                    relay.wait_delivery(status="delivered")
                    self.assertTrue(hop.messages[0].endswith(BINARY[BINARY.index(b"Subject"):]))
                    self.assertTrue(any(b"BODY=BINARYMIME" in line for line in hop.said))
                    relay.stop()

    def test_it_bounces_from_a_hop_that_cannot_take_it(self):
        sink = self.sink()
        relay = self.relay(next_hop=sink.next_hop)
        with relay.smtp() as client:
            self.assertEqual(submit(client, BINARY, [], ["BODY=BINARYMIME"])[0], 250)
        report = sink.wait(relay=relay)[0]
        self.assertEqual(report.recipients, ["alice@example.test"])
        self.assertRegex(report.data.decode(), r"(?m)^Status: 5\.6\.3")

    def test_its_header_is_text(self):
        sink = self.sink()
        relay = self.relay(next_hop=sink.next_hop)
        with relay.smtp() as client:
            for header in (b"Subject: a\nFrom: b@example.net\r\n\r\n", b"Subject: a\0\r\n\r\n", b"Subject: a\rX: b\r\n\r\n"):
                code, answer = submit(client, header + b"body", [], ["BODY=BINARYMIME"])
                self.assertEqual((code, answer[:5]), (554, b"5.6.0"), header)
            code, _ = client.mail("alice@example.test", ["BODY=BINARYMIME"])
            self.assertEqual(code, 250)
            client.rcpt("bob@example.net")
            self.assertEqual(client.docmd("DATA")[0], 503)


class LeftOut(Case):
    ALL = {"pipelining", "size", "8bitmime", "smtputf8", "dsn", "chunking", "binarymime", "limits", "mt-priority", "deliverby"}

    def offered(self, names):
        relay = self.relay(next_hop=self.sink().next_hop, start=False)
        relay.config["server"]["listeners"][0]["disabled_extensions"] = names
        relay.start()
        with relay.smtp() as client:
            client.ehlo()
            return set(client.esmtp_features)

    def test_each_extension_can_be_switched_off(self):
        self.assertEqual(self.offered([]), self.ALL | {"enhancedstatuscodes"})
        self.assertEqual(self.offered(["DSN", "chunking"]), (self.ALL | {"enhancedstatuscodes"}) - {"dsn", "chunking", "binarymime"})
        self.assertEqual(self.offered(sorted(self.ALL)), {"enhancedstatuscodes"})

    def test_an_unknown_name_is_an_error(self):
        relay = self.relay(start=False)
        relay.config["server"]["listeners"][0]["disabled_extensions"] = ["DNS"]
        relay.write_config()
        done = subprocess.run(relay.command("check"), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=240)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('disabled_extensions: "DNS" is none', done.stdout + done.stderr)


if __name__ == "__main__":
    main()
