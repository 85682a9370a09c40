# SPDX-License-Identifier: Apache-2.0
"""The dialogues of tests/dialogues that need no settings of their own, with the built relay: in the clear, under STARTTLS and
under TLS from the start, in whole turns and byte by byte. What is stored is looked at in unit_smtp; here are the replies."""
import re
import socket
import ssl

from hedwig_harness import PATIENCE, ROOT, Case, free_port, main, make_certificate, trusting

FOLDER = ROOT / "tests" / "dialogues"
BYTEWISE_MAX = 1500  # octets of what the client sends


def unescape(text, number=1):
    simple = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "#": str(number)}
    out, at = b"", 0
    while at < len(text):
        if text[at] != "\\":
            out += text[at].encode()
            at += 1
        elif text[at + 1] == "x":
            out += bytes([int(text[at + 2:at + 4], 16)])
            at += 4
        elif text[at + 1] == "{":
            star, end = text.index("*", at), text.index("}", text.index("*", at))
            out += unescape(text[star + 1:end], number) * int(text[at + 2:star])
            at = end + 1
        else:
            out += simple.get(text[at + 1], text[at + 1]).encode()
            at += 2
    return out


def read(path):
    """[(who, octets or text)], or None where the file has settings or an owner who acts."""
    steps = []
    for line in path.read_text().splitlines():
        first, _, rest = line.partition(" ")
        if first in ("set", "refuse", "OWNER", "TLS"):
            return None
        if first in ("C:", "C|"):
            steps.append(("C", unescape(rest) + (b"\r\n" if first == "C:" else b"")))
        elif first == "S:":
            steps.append(("S", unescape(rest).decode("utf-8", "replace")))
        elif first in ("C", "S"):
            count, _, text = rest.partition(" ")
            steps += [(first, unescape(text, n) + b"\r\n" if first == "C" else unescape(text, n).decode())
                      for n in range(1, int(count[1:]) + 1)]
        elif first == "END":
            steps.append(("END", rest))
    return steps


class Dialogues(Case):
    def setUp(self):
        super().setUp()
        self.certificate = make_certificate(self.folder)
        tls = {"cert_path": self.certificate[0], "key_path": self.certificate[1]}
        self.relay_ = self.relay({"server": {"disable_outbound": True, "min_deliver_by": "0s"}}, start=False)
        address = self.relay_.address
        self.ports = {"starttls": free_port(address), "implicit": free_port(address)}
        self.relay_.config["server"]["listeners"] += [
            {"addr": f"{address}:{port}", "tls": {**tls, "mode": mode}} for mode, port in self.ports.items()]
        self.relay_.start()

    def connect(self, how):
        """A connection whose next words are the greeting, which of STARTTLS is gone already."""
        one = socket.create_connection((self.relay_.address, self.ports.get(how, self.relay_.port)), timeout=60 * PATIENCE)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if how == "clear":
            return one
        if how == "starttls":
            for command in (b"", b"EHLO client.example\r\n", b"STARTTLS\r\n"):
                one.sendall(command)
                self.reply(one)
        return trusting(self.certificate[0]).wrap_socket(one, server_hostname="relay.example.test")

    @staticmethod
    def line(one):
        text = b""
        while not text.endswith(b"\r\n"):
            octet = one.recv(1)
            if not octet:
                return text.decode() + "<end>"
            text += octet
        return text.decode("utf-8", "replace")[:-2]

    def reply(self, one):
        while True:
            text = self.line(one)
            if text[3:4] != "-":
                return text

    def play(self, steps, how, bytewise):
        greeted = how != "starttls"
        with self.connect(how) as one:
            waiting = b""
            for who, what in steps:
                if who == "C":
                    waiting += what
                    continue
                if waiting:
                    for piece in [waiting[n:n + 1] for n in range(len(waiting))] if bytewise else [waiting]:
                        try:
                            one.sendall(piece)
                        except (ConnectionError, ssl.SSLError):
                            break  # the session is over; the rest is not for anybody
                    waiting = b""
                if who == "END":
                    self.assertEqual(self.line(one), "<end>")
                elif not greeted:
                    greeted = True
                elif what.endswith(" ..."):
                    self.assertEqual(self.reply(one)[:3], what[:3])
                else:
                    self.assertEqual(re.sub("queued as .*", "queued as", self.line(one)), re.sub("queued as .*", "queued as", what))

    def all_dialogues(self, how, bytewise):
        played = 0
        for path in sorted(FOLDER.glob("*.dialogue")):
            steps = read(path)
            if steps is None:
                continue
            sent = sum(len(what) for who, what in steps if who == "C")
            lists_extensions = any(who == "S" and what.startswith("250-") for who, what in steps)
            if (bytewise and sent > BYTEWISE_MAX) or (how != "clear" and lists_extensions) or path.stem.startswith("starttls"):
                continue
            with self.subTest(dialogue=path.stem, how=how, bytewise=bytewise):
                self.play(steps, how, bytewise)
                played += 1
        self.assertGreater(played, 50)
        self.every_refusal_has_a_reason()

    def every_refusal_has_a_reason(self):
        values = self.relay_.metrics()
        given = sum(value for name, value in values.items()
                    if re.match(r'hedwig_smtp_replies_total\{code="[45]', name))
        self.assertGreater(given, 50)
        self.assertEqual(self.relay_.metric("hedwig_smtp_refusals_total"), given)
        self.assertEqual(values['hedwig_smtp_refusals_total{reason="other"}'], 0)
        self.assertEqual(sum(self.relay_.admin("status")["refusals"].values()), given)

    def test_in_the_clear(self):
        self.all_dialogues("clear", False)

    def test_in_the_clear_byte_by_byte(self):
        self.all_dialogues("clear", True)

    def test_under_starttls(self):
        self.all_dialogues("starttls", False)

    def test_under_starttls_byte_by_byte(self):
        self.all_dialogues("starttls", True)

    def test_under_tls_from_the_start(self):
        self.all_dialogues("implicit", False)


if __name__ == "__main__":
    main()
