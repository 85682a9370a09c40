# SPDX-License-Identifier: Apache-2.0
"""Proxies in front of the relay: HAProxy with send-proxy and send-proxy-v2, and headers by hand."""
import signal
import smtplib
import socket
import ssl
import struct

from hedwig_harness import (PATIENCE, Background, Case, free_port, host, listening, main, make_certificate, plain_message,
                            tool, trusting, wait_for)

CLIENT, STRANGER, PROXY = 7, 8, 9  # hosts of the test's own network
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v1(client):
    return f"PROXY TCP4 {client} {host()} 40000 25\r\n".encode()


def v2(command, family=0x11, body=None):
    body = socket.inet_aton(host(CLIENT)) + socket.inet_aton(host()) + struct.pack(">HH", 40000, 25) if body is None else body
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack(">H", len(body)) + body


class OfAProxy(Case):
    """A relay that knows one proxy, and lets one client behind it relay."""

    def proxied(self, listener=None, **server):
        sink = self.sink()
        relay = self.relay(next_hop=sink.next_hop, start=False)
        self.direct_port = free_port(relay.address)  # which the harness looks at
        self.entry = {"addr": f"{relay.address}:{relay.port}", "name": "proxied", "proxy_from": [host(PROXY)],
                      "relay_from": [host(CLIENT)], **(listener or {})}
        self.proxied_port, relay.port = relay.port, self.direct_port
        relay.write_config({"server": {"listeners": [{"addr": f"{relay.address}:{self.direct_port}"}, self.entry], **server}})
        relay.start()
        self.relay_, self.sink_ = relay, sink
        return relay

    def connect(self, source=PROXY):
        one = socket.create_connection((self.relay_.address, self.proxied_port), timeout=60 * PATIENCE,
                                       source_address=(host(source), 0))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.enterContext(one)

    def said(self, one, commands=()):
        """The first line that comes, and the last one after each command."""
        with one.makefile("rb") as stream:
            lines = [stream.readline()]
            for command in commands:
                one.sendall(command.encode() + b"\r\n")
                line = stream.readline()
                while line[3:4] == b"-":
                    line = stream.readline()
                lines.append(line)
            return [line.decode().strip() for line in lines]

    def refused(self, reason):
        return self.relay_.metrics().get(f'hedwig_connections_refused_total{{listener="proxied",reason="{reason}"}}', 0)


class ByHand(OfAProxy):
    relaying = ("EHLO client.example", "MAIL FROM:<a@example.test>", "RCPT TO:<b@example.net>")

    def test_the_client_that_the_header_names_counts_at_every_cut(self):
        self.proxied()
        for header in (v1(host(CLIENT)), v2(1), v2(1, body=v2(1)[16:] + b"\x04" + struct.pack(">H", 200) + b"x" * 200)):
            for step in (len(header), 1, 13):
                one = self.connect()
                for at in range(0, len(header), step):
                    one.sendall(header[at:at + step])
                got = self.said(one, self.relaying)
                self.assertEqual([line[:3] for line in got], ["220", "250", "250", "250"])
        one = self.connect()
        one.sendall(v1(host(STRANGER)))
        self.assertEqual(self.said(one, self.relaying)[-1], "550 5.7.1 Relaying denied")

    def test_whom_the_proxy_does_not_name_is_not_the_proxy(self):
        self.proxied({"relay_from": [host(PROXY)]})
        for header, answer in ((b"PROXY UNKNOWN\r\n", "550"), (v2(1, 0, b""), "550"), (v2(1, 0x31, b"x" * 216), "550"),
                               (v2(0, 0, b""), "250"), (v2(0), "250"), (v1(host(CLIENT)), "550")):
            with self.subTest(header=header):
                one = self.connect()
                one.sendall(header)
                self.assertEqual(self.said(one, self.relaying)[-1][:3], answer)

    def test_others_are_refused_or_taken_as_themselves_and_never_believed(self):
        relay = self.proxied()
        self.assertEqual(self.said(self.connect(CLIENT)), ["554 5.7.1 Only our proxies may connect here"])
        self.assertEqual(self.refused("not_a_proxy"), 1)
        relay.write_config({"server": {"listeners": [relay.config["server"]["listeners"][0],
                                                     {**self.entry, "proxy_others": "accept"}]}})
        relay.signal(signal.SIGHUP)
        wait_for(lambda: "config.reloaded" in relay.log_text(), 60, relay.log_tail)
        self.assertEqual(self.said(self.connect(CLIENT), self.relaying)[-1][:3], "250")
        one = self.connect(STRANGER)
        one.sendall(v1(host(CLIENT)))
        self.assertRegex(self.said(one)[0], "^(554|500)")

    def test_without_a_header_the_connection_is_dropped(self):
        self.proxied(proxy_timeout="1s")
        for count, sent in enumerate((b"EHLO proxy.example\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", SIGNATURE + b"\x21\x11\xff\xff",
                                      b"", b"PROXY TCP4 1.2.3.4", v2(1)[:20]), 1):
            with self.subTest(sent=sent):
                one = self.connect()
                one.sendall(sent)
                try:
                    self.assertEqual(one.recv(100), b"")
                except ConnectionResetError:
                    pass
                self.assertEqual(self.refused("proxy"), count)
        self.assertEqual(self.relay_.metrics()['hedwig_limit_hits_total{limit="server.proxy_timeout"}'], 3)
        events = [event["error"] for event in self.relay_.events() if event.get("event") == "session.proxy-failed"]
        self.assertEqual(events, ["no header", "bad port", "header too long"] + ["no whole header in time"] * 3)

    def test_who_talks_behind_the_header_and_before_the_greeting_is_refused(self):
        self.proxied()
        one = self.connect()
        one.sendall(v1(host(CLIENT)) + b"EHLO client.example\r\n")
        self.assertEqual(self.said(one), ["554 5.5.1 You spoke before the greeting"])

    def test_guesses_lock_the_client_out_and_not_the_proxy(self):
        self.proxied({"allow_auth_in_clear": True, "relay_from": []}, auth_failures_per_address=2, auth_failure_delay="0s",
                     auth=[{"username": "ann", "password": "right"}])
        wrong, right = "AUTH PLAIN AGFubgB3cm9uZw==", "AUTH PLAIN AGFubgByaWdodA=="
        one = self.connect()
        one.sendall(v1(host(CLIENT)))
        self.assertEqual([line[:3] for line in self.said(one, ["EHLO c.example", wrong, wrong])], ["220", "250", "535", "535"])
        for client, answer in ((CLIENT, "421"), (STRANGER, "235")):
            one = self.connect()
            one.sendall(v1(host(client)))
            self.assertEqual(self.said(one, ["EHLO c.example", right])[-1][:3], answer)
        locked = [event["peer"] for event in self.relay_.events() if event.get("event") == "auth.locked"]
        self.assertEqual(locked, [f"{host(CLIENT)}:40000"])

    def test_tls_from_the_start_comes_behind_the_header(self):
        certificate = make_certificate(self.folder)
        self.proxied({"tls": {"cert_path": certificate[0], "key_path": certificate[1], "mode": "implicit"}})
        # The header and the first flight of the handshake in one piece, and in many.
        for step in (1 << 16, 50):
            coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = trusting(certificate[0]).wrap_bio(coming, going, server_hostname="relay.example.test")
            one, waiting = self.connect(), v2(1)
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    waiting += going.read()
                    for at in range(0, len(waiting), step):
                        one.sendall(waiting[at:at + step])
                    waiting = b""
                    coming.write(one.recv(65536))
            one.sendall(going.read())
            text = b""
            while b"\r\n" not in text:
                try:
                    text += tls.read(1000)
                except ssl.SSLWantReadError:
                    coming.write(one.recv(65536))
            self.assertEqual(text[:3], b"220")


class OfHaproxy(OfAProxy):
    def haproxy(self, options):
        port = free_port()
        path = self.path("haproxy.cfg")
        with open(path, "w", encoding="ascii") as config:
            config.write(f"global\n maxconn 100\ndefaults\n mode tcp\n timeout connect 60s\n timeout client 300s\n timeout server 300s\n"
                         f"listen front\n bind {host()}:{port}\n server relay {self.relay_.address}:{self.proxied_port} "
                         f"source {host(PROXY)} {options}\n")
        self.opened(Background([tool("haproxy", "haproxy"), "-db", "-f", path], self.path("haproxy.log"),
                               lambda: listening(host(), port)))
        return port

    def relay_through(self, options, secure=None):
        relay, port = self.relay_, self.haproxy(options)
        source = (host(CLIENT), 0)
        make = smtplib.SMTP if secure is None else smtplib.SMTP_SSL
        more = {} if secure is None else {"context": secure}
        with make(host(), port, "relay.example.test", timeout=60 * PATIENCE, source_address=source, **more) as client:
            client.sendmail("alice@example.test", ["bob@example.net"], plain_message())
        got = self.sink_.wait(relay=relay)[0]
        self.assertRegex(got.message.get_all("Received")[0], rf"\[{host(CLIENT)}\]")
        accepted, = [event for event in relay.events() if event.get("event") == "message.accepted"]
        self.assertEqual(accepted["peer"].rpartition(":")[0], host(CLIENT))
        with make(host(), port, "relay.example.test", timeout=60 * PATIENCE, source_address=(host(STRANGER), 0), **more) as client:
            self.assertRaises(smtplib.SMTPRecipientsRefused, client.sendmail, "a@example.test", ["b@example.net"], plain_message())

    def test_haproxy_with_send_proxy(self):
        self.proxied()
        self.relay_through("send-proxy")

    def test_haproxy_with_send_proxy_v2_and_a_checksum(self):
        self.proxied()
        self.relay_through("send-proxy-v2 proxy-v2-options crc32c,unique-id")

    def test_haproxy_with_send_proxy_v2_in_front_of_tls(self):
        certificate = make_certificate(self.folder, addresses=[host()])
        self.proxied({"tls": {"cert_path": certificate[0], "key_path": certificate[1], "mode": "implicit"}})
        context = trusting(certificate[0])
        context.check_hostname = False
        self.relay_through("send-proxy-v2", context)

    def test_the_health_checks_of_haproxy_are_its_own(self):
        self.proxied()
        self.haproxy("send-proxy-v2 check inter 200ms")
        wait_for(lambda: self.relay_.metrics().get('hedwig_connections_accepted_total{listener="proxied"}', 0) >= 5, 60,
                 self.relay_.log_tail)
        self.assertEqual(self.refused("proxy"), 0)


if __name__ == "__main__":
    main()
