#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""seeds.py FOLDER: writes inputs for every fuzzer to FOLDER/NAME, made of tests/dialogues and of the odd ones below.

They are made anew for each run, so that a new dialogue is a new seed; tests/fuzz/NAME keeps what fuzzing found beyond
them. Each fuzzer's source says what its inputs look like.
"""
import base64
import hashlib
import pathlib
import re
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
SEED_OCTETS_MAX = 4096
LINES_MAX = 40  # of one dialogue that become commands
EVENTS = {"timeout": "O", "shutdown": "D", "fail": "F", "abandon": "A", "stage": "B"}


def unescape(text, number=1):
    out, at = bytearray(), 0
    while at < len(text):
        if text[at] != "\\" or at + 1 == len(text):
            out += text[at].encode()
            at += 1
            continue
        at += 1
        letter = text[at]
        if letter == "x":
            out.append(int(text[at + 1 : at + 3], 16))
            at += 2
        elif letter == "{":
            count, rest = text[at + 1 :].split("*", 1)
            piece = rest[: rest.index("}")]
            out += unescape(piece, number) * int(count)
            at += len(count) + 1 + len(piece) + 1
        elif letter == "#":
            out += str(number).encode()
        else:
            out += {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0"}.get(letter, letter.encode())
        at += 1
    return bytes(out)


class Dialogue:
    """The client's bytes of a dialogue file, with events, and the server's."""

    def __init__(self, file):
        self.options, self.off, self.client, self.server = 16, 0, bytearray(), bytearray()
        self.lines, self.bodies = [], []
        for line in file.read_text().splitlines():
            self.read(line)

    def read(self, line):
        match = re.match(r"([CS])(:|\||(?: x(\d+)))(?: (.*))?$", line)
        if match:
            who, kind, count, text = match.groups()
            for number in range(1, int(count or 1) + 1):
                said = unescape(text or "", number) + (b"" if kind == "|" else b"\r\n")
                if who == "C":
                    self.client += said
                    self.lines.append(said.removesuffix(b"\r\n"))
                else:
                    self.server += said
            if who == "S":
                self.server += b"\x1eT" if said.startswith(b"220 2.0.0") else b"\x1e."
        elif line.startswith("set "):
            key = line.split()[1]
            self.options |= {"normalize": 1, "implicit-tls": 2, "require-tls": 4, "require-auth": 8, "can-bind": 32}.get(key, 0)
            switches = ["no-pipelining", "no-size", "no-8bitmime", "no-smtputf8", "no-dsn", "no-chunking", "no-binarymime", "no-limits"]
            self.off |= 1 << switches.index(key) if key in switches else 0
        elif line == "TLS":
            self.client += b"\x1eT"
        elif line.startswith("OWNER "):
            self.client += b"\x1e" + EVENTS.get(line.split()[1], ".").encode()

    def messages(self):
        return [part + b"\r\n.\r\n" for part in re.findall(rb"DATA\r\n(.*?)\r\n\.\r\n", bytes(self.client), re.S)]


class Seeds:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def add(self, fuzzer, data):
        if len(data) > SEED_OCTETS_MAX:
            return
        place = self.folder / fuzzer
        place.mkdir(parents=True, exist_ok=True)
        (place / hashlib.sha1(data).hexdigest()).write_bytes(data)


def is_base64(text):
    return len(text) % 4 == 0 and len(text) > 3 and re.fullmatch(rb"[A-Za-z0-9+/]+={0,2}", text)


def from_dialogue(seeds, spoken):
    seeds.add("session", bytes([spoken.options, spoken.off, 7]) + bytes(spoken.client))
    for line in sorted(set(spoken.lines))[:LINES_MAX]:
        seeds.add("command", b"\0" + line)
        for word in line.split():
            if is_base64(word):
                seeds.add("base64", word)
    if b"334 " in spoken.server or b"235 " in spoken.server:
        exchange(seeds, spoken)
    for message in spoken.messages():
        for framing in range(6):
            seeds.add("data", bytes([framing]) + b"\x05" + message)
        seeds.add("header", b"\0\x05" + message)
    seeds.add("reply", b"\x05" + bytes(spoken.server).replace(b"\x1e.", b"").replace(b"\x1eT", b""))
    seeds.add("client", b"\x01\x05" + bytes(spoken.server))


def exchange(seeds, spoken):
    mechanisms = ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "XOAUTH2"]
    for number, name in enumerate(mechanisms):
        for at, line in enumerate(spoken.lines):
            words = line.split()
            if len(words) < 2 or words[0].upper() != b"AUTH" or words[1].upper() != name.encode():
                continue
            answers = [word for word in words[2:] + spoken.lines[at + 1 : at + 4] if is_base64(word)]
            data = b"" if len(words) > 2 else b"\x1en"
            data += b"\x1e.".join(base64.b64decode(answer) for answer in answers)
            for options in (0, 64, 128, 192):
                seeds.add("sasl", bytes([number + options - (options & 63)]) + data)


HEADERS = [
    b"From: A <a@example.org>\r\nTo: b@example.org\r\nSubject: x\r\n\r\nbody\r\n",
    b"From: a@example.org\r\nno field\r\nFrom: b@example.org\r\n\r\nbody\r\n",
    b"\r\nbody\r\n\r\nFrom: a@example.org\r\n\r\n",
    b"From : a@example.org\r\nfRoM\t:b@example.org\r\n\r\n",
    b"From: =?utf-8?q?x?= (com(ment) \\) ) <a@example.org>, \"quoted, \\\" x\" <b@example.org>\r\n\r\n",
    b"From: group: a@example.org, b@example.org;, c@example.org\r\n\r\n",
    b"From: <@a,@b:c@example.org>\r\n\r\n",
    b"Bcc: one@example.org,\r\n two@example.org\r\nBCC: x\r\nResent-Bcc: y\r\nSubject: z\r\n\r\n",
    b"Received: a\r\n" * 6 + b"\r\n",
    b"Subject: folded\r\n \r\n\t\r\n  text \t \r\n\r\n a  b \t \r\n\r\n\r\n",
    b"Sender: s@example.org\r\nX:\r\n\r\n",
    b": empty name\r\n\r\n",
    b" continuation first\r\nFrom: a@example.org\r\n\r\n",
    b"From: a@example.org",
    "From: jürgen@exämple.org, 用户@例子.公司\r\n\r\n".encode(),
    b"From: a@[192.0.2.1], b@[IPv6:2001:db8::1]\r\n\r\n",
    b"From:" + b"(" * 300 + b")" * 300 + b" a@example.org\r\n\r\n",
]
COMMANDS = [
    b'MAIL FROM:<"a b\\"c"@example.org> SIZE=18446744073709551616 BODY=BINARYMIME RET=HDRS ENVID=a+2Bb+3D AUTH=<>',
    b"RCPT TO:<a@[IPv6:2001:db8::192.0.2.1]> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;a+2Bb@example.org",
    "RCPT TO:<用户@例子.公司> ORCPT=utf-8;jürgen\\x{FC}@example.org".encode(),
    b"RCPT TO:<@a.example,@b.example:c@example.org>",
    b"RCPT TO:<postmaster> NOTIFY=NEVER",
    b"MAIL FROM: <> AUTH=a+40b SMTPUTF8 BODY=8BITMIME",
    b"RCPT TO:<a%b!c@example.org.>",
    b"RCPT TO:<a@xn--80akhbyknj4f.example>",
    b"BDAT 18446744073709551615 LAST", b"BDAT 0 LAST", b"BDAT -1", b"AUTH PLAIN =", b"GET / HTTP/1.1",
    b"EHLO [192.0.2.1]", b"HELO x y", b"VRFY a", b"STARTTLS now", b"NOOP x", b"XCLIENT ADDR=192.0.2.1",
]
REPLIES = [
    b"250-one\n250 two\n", b"250-one\r\n251 two\r\n", b"220\r\n", b"2500 x\r\n", b"550 5.1.1 no\x00\x1b[2J\r\n",
    b"250 " + b"x" * 100 + b"\r\n", b"250-a\r\n" * 7, b"421 4.7.0 bye\r\n", b"599 5.999.999 \xff\xfe\r\n", b"abc\r\n",
]
DATA = [b".\r\n", b"..\r\n.\r\n", b"a\n.\n", b"a\r\n.\n", b"a\r.\r\n.\r\n", b"\n.\r\n.\r\n", b"a\0b\r\n.\r\n", b"x" * 70 + b"\r\n.\r\n",
        b".\r\r\n.\r\n", b"a\r\n.\r", b"\r\n.\r\n", b"a\r\n\0.\r\n.\r\n", b"dot at end.\r\n..x\r\n.\r\n", b".x\r\n.\r\n", b"a\r"]
SESSIONS = [
    b"EHLO x\r\nMAIL FROM:<a@b.example> BODY=BINARYMIME\r\nRCPT TO:<c@d.example>\r\nBDAT 5\r\nab\0\ncBDAT 3 LAST\r\nx\r\n",
    b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nBDAT 5\r\nab\r\nc\x1eBBDAT 3\x1eB LAST\r\n.\r\nQUIT\r\n",
    b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nabc\x1eB\r\n.\x1eB\r\nRSET\r\n",
    b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nabc\x1eA\r\n.\r\nMAIL FROM:<refuse@b.example>\r\n",
    b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<nodata@d.example>\r\nBDAT 3\r\nabcBDAT 2 LAST\r\nxyNOOP\r\n",
    b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<later@d.example>\r\nDATA\r\nrefuse-me\r\n.\r\n",
    b"EHLO x\r\nSTARTTLS\r\nMAIL FROM:<a@b.example>\x1eTEHLO x\r\nAUTH PLAIN AHVzZXIAc2VjcmV0\r\nMAIL FROM:<a@b.example>\r\n",
    b"EHLO x\r\nAUTH LOGIN\r\ndXNlcg==\r\nc2VjcmV0\r\nAUTH XOAUTH2\r\ndXNlcj1hAWF1dGg9QmVhcmVyIHgBAQ==\r\n\r\n",
    b"EHLO away.example\r\n", b"HELO refuse\r\nEHLO later\r\nNOOP\r\n", b"GET / HTTP/1.1\r\n", b"\xff\xfb\x01EHLO\r\n",
]
CLIENTS = [
    b"220 hi\r\n\x1e.250-mx\r\n250-PIPELINING\r\n250-DSN\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-SIZE 10000\r\n250 SMTPUTF8\r\n\x1e."
    b"250 ok\r\n250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n\x1e.250 2.0.0 taken\r\n\x1e.250 ok\r\n250 ok\r\n451 4.0.0 x\r\n250 ok\r\n354 go\r\n\x1e."
    b"554 5.7.1 no\r\n\x1e.250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n\x1e.250 chunk\r\n\x1eQ221 bye\r\n",
    b"220 hi\r\n\x1e.250-mx\r\n250 STARTTLS\r\n\x1e.220 go\r\n250 injected\r\n\x1eT250-mx\r\n250-AUTH PLAIN LOGIN\r\n250 PIPELINING\r\n\x1e.235 ok\r\n\x1e.",
    b"220 hi\r\n\x1e.500 what\r\n\x1e.250 mx\r\n\x1e.250 ok\r\n\x1e.250 ok\r\n\x1e.250 ok\r\n\x1e.250 ok\r\n\x1e.354 go\r\n\x1eO",
    b"220 hi\r\n\x1e.250-mx\r\n250 AUTH LOGIN\r\n\x1e.334 x\r\n\x1e.334 y\r\n\x1e.535 5.7.8 no\r\n\x1e.",
    b"554 no service\r\n\x1e.221 bye\r\n", b"220 hi\r\n\x1e.250 mx\r\n\x1e.421 4.3.2 later\r\n\x1e.",
    b"220 hi\r\n\x1e.250-mx\r\n250 STARTTLS\r\n\x1e.220 go\r\n\x1eN", b"220 hi\r\n\x1e.250-mx\r\n250 STARTTLS\r\n\x1e.454 no\r\n\x1e.250 ok\r\n\x1e.",
]
SASL = [(0, b"\0user\0secret"), (0, b"admin\0user\0secret"), (0, b"\0\0"), (0, b"\0u\0s\0t"), (1, b"\x1enuser\x1e.secret"), (1, b"user\x1e.secret"),
        (2, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO\x1e.c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
        (3 + 64, b"p=tls-exporter,,n=u=2Cx,r=abc\x1e.c=cD10bHMtZXhwb3J0ZXIsLGJvdW5k,r=abc%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=AAAA"),
        (2, b"y,a=admin,m=x,n=user,r=abc"), (4, b"n,a=user@example.com,\x01host=h\x01port=587\x01auth=Bearer token\x01\x01\x1e.\x01"),
        (5, b"user=a@example.com\x01auth=Bearer token\x01\x01\x1e.")]
NAME = b"\x03mx1\x07example\x04test\0"
DNS = [(2, [b"\0\x0a" + NAME, b"\0\x14\x05relay\x07example\x04test\0"]), (2, [b"\0\0\0"]), (2, [b"\0\x0a\xc0\x0c"]), (2, [b"\0\x0a\x3f" + b"x" * 63 + b"\0"]),
       (0, [b"\x7f\0\0\x01"]), (4, [b"\0" * 15 + b"\x01"]), (3, [b"\x05hello\x03abc", b"\xff"]), (1, [NAME, b"\x01.\x01\xff\0"])]


def field(tag, data):
    size, out = len(data), bytearray([tag])
    while True:
        out.append((size & 127) | (128 if size > 127 else 0))
        size >>= 7
        if size == 0:
            return bytes(out) + data


def metadata(seeds):
    for version in range(0, 4):
        body = b"".join(field(tag, data) for tag in range(1, 32) for data in (b"", b"\x01", b"a@example.org", struct.pack("<Q", 1)))
        seeds.add("metadata", b"HWM" + bytes([version]) + body[:600])
    seeds.add("metadata", b'HEDWIG1 {"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","from":"a@example.org","to":["b@example.org"],"received_at":"2025-01-01T00:00:00Z"}\n')
    seeds.add("metadata", b'{"id":"x","mail_from":"a@example.org","rcpt_to":["b@example.org"]}\n{"attempts":2,"last_error":"x"}')


def proxy(seeds):
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    for text in (b"PROXY TCP4 192.0.2.1 198.51.100.1 40000 25\r\nEHLO x\r\n", b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", b"PROXY UNKNOWN ff:ff\r\n",
                 b"PROXY UNKNOWN\r\n", b"PROXY TCP4 192.0.2.1 198.51.100.1 65536 25\r\n", b"PROXY TCP4 192.0.2.01 1.2.3.4 1 2\r\n", b"PROXY \n",
                 b"PROXY TCP4 " + b"1" * 100, b"EHLO x\r\n"):
        seeds.add("proxy", text)
    v4 = bytes([192, 0, 2, 1, 198, 51, 100, 1]) + struct.pack(">HH", 40000, 25)
    v6 = b"\x20\x01\x0d\xb8" + b"\0" * 11 + b"\1" + b"\0" * 15 + b"\1" + struct.pack(">HH", 1, 2)
    tlvs = b"\x02\0\x04mail" + b"\x03\0\x04\0\0\0\0" + b"\x20\0\x08\x01\0\0\0\0\x21\0\0"
    for command in (0x20, 0x21, 0x22, 0x11):
        for family, addresses in ((0x11, v4), (0x21, v6), (0x12, v4), (0x31, b"/" * 216), (0, b""), (0x11, v4[:7])):
            for more in (b"", tlvs, b"\x04\0\xff"):
                body = addresses + more
                seeds.add("proxy", signature + bytes([command, family]) + struct.pack(">H", len(body)) + body + b"EHLO x\r\n")


def odd(seeds):
    proxy(seeds)
    for text in HEADERS:
        seeds.add("header", b"\0\x05" + text)
        seeds.add("header", b"\1\x05" + text)
    for line in COMMANDS:
        seeds.add("command", b"\0" + line)
    for text in REPLIES:
        seeds.add("reply", b"\x05" + text)
    for text in DATA:
        for options in range(32):
            seeds.add("data", bytes([options]) + b"\x05" + text)
    for text in SESSIONS:
        for options in (16, 17, 18, 48 + 2):
            seeds.add("session", bytes([options, 0, 7]) + text)
    for text in CLIENTS:
        for options in (0, 1, 2, 5, 8, 24):
            seeds.add("client", bytes([options, 5]) + text)
    for number, text in SASL:
        seeds.add("sasl", bytes([number]) + text)
    for kind, records in DNS:
        seeds.add("dns", bytes([kind]) + b"".join(bytes([len(one)]) + one for one in records))
    for text in (b"", b"=", b"AA==", b"AB==", b"AAA=", b"A+2B", b"a=2Cb=3D", b"////"):
        seeds.add("base64", text)
    for options in range(8):
        for script in (b"\x03\x00\xff\x03", b"\x02\x10\x02\xff\x03", b"\x03\x00\x20\x04\x08\x01\x03", b"\x05\x05EHLO\n\x03", b"\x03\x08\x00\x00\xff\x03\x09\x03",
                       b"\x03\x00\x40\x06\x80\x03", b"\x03\x00\x40\x07\x05\x03", b"\x01\x08NOOP\r\n\r\n\x03", b"\x04\x05\xff\x03", b"\x03\x00\xff\x02\x01" * 20):
            seeds.add("tls", bytes([options]) + script)
    metadata(seeds)


def main():
    seeds = Seeds(sys.argv[1])
    for file in sorted((HERE.parent / "dialogues").glob("*.dialogue")):
        from_dialogue(seeds, Dialogue(file))
    odd(seeds)


if __name__ == "__main__":
    main()
