# SPDX-License-Identifier: Apache-2.0
"""Large messages: their size does not show in the relay's memory, and what goes wrong in their middle leaves nothing."""
import contextlib
import hashlib
import logging
import os
import pathlib
import re
import socket
import ssl
import struct
import threading

import dkim

from hedwig_harness import PATIENCE, Case, NextHop, generate_key, main, make_certificate, trusting, wait_for

logging.getLogger("dkimpy").setLevel(logging.CRITICAL)

MIB = 1 << 20
HEADER = (b"From: <alice@example.test>\r\nTo: <bob@example.net>\r\nSubject: large\r\nDate: Mon, 01 Jan 2024 00:00:00 +0000\r\n"
          b"Message-ID: <%d@client.example.test>\r\nBcc: <hidden@example.net>\r\n\r\n")


def blocks(size, seed=b"seed"):
    """Text of `size` octets and a little more, in blocks of which none is like another; many lines start with a dot."""
    lines = []
    for number in range(0, 8192):
        digest = hashlib.sha256(seed + b"%d" % number).hexdigest().encode()
        lines.append((b"." if number % 7 == 0 else b"") + digest + digest + b"\r\n")
    base = b"".join(lines)
    for number in range(0, size, len(base)):
        yield b".block %d\r\n" % number + base


def stuffed(text):
    return (b"." if text.startswith(b".") else b"") + text.replace(b"\r\n.", b"\r\n..")


class Client:
    """An SMTP client that sends a body as it is made."""

    def __init__(self, relay, tls=None, extra=b""):
        self.socket = socket.create_connection((relay.address, relay.port), timeout=60 * PATIENCE)
        self.file = self.socket.makefile("rb")
        self.reply()
        self.say(b"EHLO client.example.test")
        if tls:
            self.say(b"STARTTLS")
            self.socket = tls.wrap_socket(self.socket, server_hostname="relay.example.test")
            self.file = self.socket.makefile("rb")
            self.say(b"EHLO client.example.test")

    def reply(self):
        while True:
            line = self.file.readline()
            if line[3:4] != b"-":
                return line.decode().strip()

    def say(self, line):
        self.socket.sendall(line + b"\r\n")
        return self.reply()

    def begin(self, size=None):
        self.say(b"MAIL FROM:<alice@example.test>" + (b" SIZE=%d" % size if size else b""))
        self.say(b"RCPT TO:<bob@example.net>")
        return self.say(b"DATA")

    def send(self, pieces, number=1):
        """The message, all of it; gives back the reply to the dot and what the body hashes to."""
        answer = self.begin()
        if not answer.startswith("354"):
            return answer, None
        digest = hashlib.sha256()
        self.socket.sendall(HEADER % number)
        for piece in pieces:
            digest.update(piece)
            self.socket.sendall(stuffed(piece))
        return self.say(b"."), digest.hexdigest()

    def die(self):
        """A reset, as when a machine goes away."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()


class StreamSink(NextHop):
    """A next hop that keeps what it takes in files, or only its hash."""

    def __init__(self, folder=None, certificate=None):
        self.folder = folder
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        self.changed = threading.Condition()
        self.reading = threading.Event()  # cleared: nothing is read behind a 354
        self.reading.set()
        self.taken = []  # (hash of the body, whether it came encrypted, path)
        self.cut = []  # octets of those that ended without a dot
        super().__init__()

    def wait(self, count, relay, timeout=120):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.taken) >= count, timeout * PATIENCE):
                raise AssertionError(f"{len(self.taken)} of {count} messages\n{relay.log_tail()}")
            return list(self.taken)

    def talk(self, connection):
        with contextlib.ExitStack() as open_ones:
            self._talk(connection, open_ones)

    def _talk(self, connection, open_ones):
        say = lambda text: connection.sendall(text.encode() + b"\r\n")
        say("220 sink")
        rest = b""
        while True:
            while b"\r\n" not in rest:
                data = connection.recv(65536)
                if not data:
                    return
                rest += data
            line, rest = rest.split(b"\r\n", 1)
            verb = line[:4].upper()
            if verb == b"EHLO":
                tls = self.context and not isinstance(connection, ssl.SSLSocket)
                say("250-sink\r\n250-PIPELINING\r\n" + ("250-STARTTLS\r\n" if tls else "") + "250 8BITMIME")
            elif verb == b"STAR":
                say("220 go ahead")
                connection = open_ones.enter_context(self.context.wrap_socket(connection, server_side=True))
            elif verb == b"DATA":
                say("354 go on")
                self.reading.wait(600)
                rest = self._take(connection, rest)
                if rest is None:
                    return
                say("250 taken")
            elif verb == b"QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")

    def _take(self, connection, rest):
        """What came behind the dot; None where there was none. A few octets are held back at each piece's end, so that a
        dot and its line end are never cut apart."""
        digest, header, octets = hashlib.sha256(), b"", 0
        path = None
        with self.changed:
            number = len(self.taken) + len(self.cut)
        file = None
        if self.folder:
            path = pathlib.Path(self.folder) / f"{number}.eml"
            file = open(path, "wb")

        def keep(text):
            nonlocal header, octets
            text = text.replace(b"\r\n.", b"\r\n")
            octets += len(text)
            if file:
                file.write(text)
            if header is not None:
                header += text
                if b"\r\n\r\n" not in header:
                    return
                text, header = header.split(b"\r\n\r\n", 1)[1], None
            digest.update(text)

        pending = rest
        while b"\r\n.\r\n" not in pending:
            data = connection.recv(256 * 1024)
            if not data:
                with self.changed:
                    self.cut.append(octets + len(pending))
                    self.changed.notify_all()
                return None
            pending += data
            whole = pending.rfind(b"\r\n", 0, len(pending) - 4)
            if b"\r\n.\r\n" not in pending and whole > 0:
                keep(pending[:whole])
                pending = pending[whole:]
        last, rest = pending.split(b"\r\n.\r\n", 1)
        keep(last + b"\r\n")
        if file:
            file.close()
        with self.changed:
            self.taken.append((digest.hexdigest(), isinstance(connection, ssl.SSLSocket), path))
            self.changed.notify_all()
        return rest


def memory_of(relay, name):
    for line in pathlib.Path(f"/proc/{relay.process.pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def forget_peak(relay):
    """Linux: the peak of resident memory starts anew."""
    pathlib.Path(f"/proc/{relay.process.pid}/clear_refs").write_text("5")


class LargeBodies(Case):
    SIZE = int(os.environ.get("HEDWIG_TEST_LARGE", "100")) * MIB

    def one_goes_through(self, store, settings, growth_max, tls=False, signed=False):
        certificate = make_certificate(self.folder)
        sink = self.opened(StreamSink(self.folder, certificate if tls else None))
        path, name, record = generate_key(self.folder, key_type="ed25519")
        config = {
            "server": {"max_message_size": 2 * self.SIZE, "data_timeout": "30m"}, "storage": settings}
        relay = self.relay(config, sink.next_hop, store=store, start=False)
        if tls:
            relay.config["server"]["listeners"][0]["tls"] = {"cert_path": certificate[0], "key_path": certificate[1], "mode": "starttls"}
        if signed:
            relay.config["server"]["dkim"] = [{"domain": "example.test", "selector": "mail", "private_key": path,
                                               "key_type": "ed25519"}]
        relay.start()
        # One message before, so that threads, buffers and pages of code are there.
        client = Client(relay, trusting(certificate[0]) if tls else None)
        self.assertRegex(client.send(blocks(4 * MIB))[0], "^250 ")
        sink.wait(1, relay)
        wait_for(lambda: relay.queue() == [], 60, relay.log_tail)
        idle = memory_of(relay, "VmRSS")
        forget_peak(relay)
        answer, digest = client.send(blocks(self.SIZE), 2)
        self.assertRegex(answer, "^250 ")
        taken = sink.wait(2, relay)[1]
        client.close()
        wait_for(lambda: relay.queue() == [], 60, relay.log_tail)
        growth = memory_of(relay, "VmHWM") - idle
        status = relay.admin("status")["memory"]
        print(f"{store}{' with TLS' if tls else ''}{', signed' if signed else ''}: {self.SIZE // MIB} MiB through; resident "
              f"{idle / MIB:.1f} MiB before, {growth / MIB:.1f} MiB more at most; the ledger's peak "
              f"{status['peak_bytes'] / MIB:.1f} MiB", flush=True)
        self.assertEqual(taken[0], digest, "every octet of the body arrived")
        self.assertEqual(taken[1], tls)
        with open(taken[2], "rb") as file:
            header = file.read(65536).split(b"\r\n\r\n")[0]
        self.assertNotIn(b"Bcc", header)
        self.assertIn(b"Received:", header)
        if signed:
            whole = taken[2].read_bytes()
            self.assertTrue(dkim.DKIM(whole).verify(dnsfunc=lambda asked, timeout=5: record
                                                    if asked.decode().rstrip(".") == name else None), "dkimpy verifies it")
        self.assertLess(growth, growth_max)
        self.assertLess(status["peak_bytes"], 4 * MIB)
        self.assertEqual({user: size for user, size in status["users"].items() if size}, {}, "nothing is held any more")

    def test_100_mib_with_files(self):
        self.one_goes_through("fs", {}, 40 * MIB)

    def test_100_mib_with_files_encrypted_and_signed(self):
        self.one_goes_through("fs", {}, 40 * MIB, tls=True, signed=True)

    def test_100_mib_with_rocksdb_encrypted(self):
        # RocksDB has what was written last in memory, by its own settings.
        self.one_goes_through("rocksdb", {"rocksdb": {"memtable_size": 8 * MIB}}, 80 * MIB, tls=True)

    def test_100_mib_with_sqlite(self):
        self.one_goes_through("sql", {}, 60 * MIB)


class ManyLargeBodies(Case):
    def test_50_at_once_in_64_mib(self):
        sink = self.opened(StreamSink())
        relay = self.relay({"process": {"message_memory": 64 * MIB}}, sink.next_hop, store="fs")
        connections, size = 50, int(os.environ.get("HEDWIG_TEST_MANY", "20")) * MIB
        answers, digests = {}, {}

        def submit(number):
            client = Client(relay)
            answers[number], digests[number] = client.send(blocks(size, b"%d" % number), number)
            client.close()

        threads = [threading.Thread(target=submit, args=(number,)) for number in range(connections)]
        for one in threads:
            one.start()
        seen = []
        while any(one.is_alive() for one in threads):
            memory = relay.admin("status")["memory"]
            seen.append(memory["used_bytes"])
            self.assertLessEqual(memory["used_bytes"], memory["limit_bytes"])
            threads[0].join(0.2)
            for one in threads:
                if one.is_alive():
                    one.join(0.2)
                    break
        self.assertEqual({answer[:3] for answer in answers.values()}, {"250"})
        sink.wait(connections, relay, 300)
        self.assertEqual(sorted(one[0] for one in sink.taken), sorted(digests.values()))
        wait_for(lambda: relay.queue() == [], 60, relay.log_tail)
        memory = relay.admin("status")["memory"]
        print(f"{connections} x {size // MIB} MiB: the ledger's peak {memory['peak_bytes'] / MIB:.1f} MiB of "
              f"{memory['limit_bytes'] / MIB:.0f}, met {memory['limit_met']} times; resident at most "
              f"{memory_of(relay, 'VmHWM') / MIB:.0f} MiB", flush=True)
        self.assertLessEqual(memory["peak_bytes"], 64 * MIB)
        self.assertGreater(memory["peak_bytes"], 0)
        self.assertEqual(memory["used_bytes"], 0)


class BrokenBodies(Case):
    def no_stage_left(self, relay):
        wait_for(lambda: relay.metric("hedwig_staged_bodies") == 0, 60, relay.log_tail)
        wait_for(lambda: relay.admin("status")["memory"]["used_bytes"] == 0, 60, relay.log_tail)
        self.assertEqual(relay.queue(), [])

    def dies_in_the_middle(self, store):
        sink = self.opened(StreamSink())
        relay = self.relay({}, sink.next_hop, store=store)
        for end in (Client.die, Client.close):
            client = Client(relay)
            self.assertRegex(client.begin(), "^354 ")
            client.socket.sendall(HEADER % 1)
            for piece in blocks(3 * MIB):
                client.socket.sendall(stuffed(piece))
            wait_for(lambda: relay.metric("hedwig_staged_bodies") == 1, 60, relay.log_tail)
            end(client)
            self.no_stage_left(relay)
        self.assertEqual(sink.taken, [])
        client = Client(relay)
        self.assertRegex(client.send(blocks(2 * MIB))[0], "^250 ")
        sink.wait(1, relay)
        client.close()

    def test_a_client_that_dies_in_the_middle_leaves_nothing_with_rocksdb(self):
        self.dies_in_the_middle("rocksdb")

    def test_a_client_that_dies_in_the_middle_leaves_nothing_with_files(self):
        self.dies_in_the_middle("fs")

    def test_a_client_that_dies_in_the_middle_leaves_nothing_with_sqlite(self):
        self.dies_in_the_middle("sql")

    def test_a_message_over_the_size_leaves_nothing_and_is_refused(self):
        relay = self.relay({"server": {"max_message_size": 3 * MIB}}, "127.0.0.1:9")
        client = Client(relay)
        self.assertRegex(client.send(blocks(5 * MIB))[0], r"^552 5\.3\.4")
        self.no_stage_left(relay)
        self.assertRegex(client.say(b"NOOP"), "^250")
        client.close()

    def test_a_loop_is_refused_and_leaves_nothing(self):
        relay = self.relay({"server": {"max_received_fields": 10}}, "127.0.0.1:9")
        client = Client(relay)
        self.assertRegex(client.begin(), "^354 ")
        client.socket.sendall(b"Received: by a.test; x\r\n" * 11 + HEADER % 1)
        for piece in blocks(2 * MIB):
            client.socket.sendall(stuffed(piece))
        self.assertRegex(client.say(b"."), r"^554 5\.4\.6")
        self.no_stage_left(relay)
        client.close()

    def test_a_body_that_turns_out_damaged_is_cut_before_the_dot_and_set_aside(self):
        sink = self.opened(StreamSink())
        relay = self.relay({}, sink.next_hop, store="fs")
        relay.admin("pause")
        client = Client(relay)
        self.assertRegex(client.send(blocks(3 * MIB))[0], "^250 ")
        client.close()
        files = [path for path in relay.spool.rglob("*") if path.is_file() and path.stat().st_size > 3 * MIB]
        self.assertEqual(len(files), 1)
        with open(files[0], "r+b") as file:
            file.seek(2 * MIB)
            octet = file.read(1)
            file.seek(2 * MIB)
            file.write(bytes([octet[0] ^ 1]))
        relay.admin("resume")
        wait_for(lambda: [one["state"] for one in relay.queue("--state", "all")] == ["quarantined"], 60, relay.log_tail)
        wait_for(lambda: sink.cut, 60, relay.log_tail)
        self.assertEqual(sink.taken, [], "no cut message was delivered")
        self.assertLess(sink.cut[0], 3 * MIB)
        wait_for(lambda: relay.admin("status")["memory"]["used_bytes"] == 0, 60, relay.log_tail)

    def test_a_large_message_is_tried_again_after_a_restart(self):
        sink = self.opened(StreamSink())
        relay = self.relay({"retry": {"initial_delay": "1s"}}, sink.next_hop)
        relay.admin("pause")
        client = Client(relay)
        answer, digest = client.send(blocks(2 * MIB))
        self.assertRegex(answer, "^250 ")
        client.close()
        relay.stop()
        relay.start()
        self.assertEqual(sink.wait(1, relay)[0][0], digest)


class NoMemory(Case):
    def test_at_the_limit_clients_wait_then_hear_452_and_mail_goes_on_afterwards(self):
        sink = self.opened(StreamSink())
        relay = self.relay({"queue": {"pending_append_bytes": 1100 * 1024, "stage_above": "64KiB"},
                            "process": {"message_memory": 16 * MIB, "message_memory_wait": "2s"}}, sink.next_hop)
        # A header that does not end cannot go to the store; a few of them are all the memory there is.
        hogs = []
        while True:
            hog = Client(relay)
            hogs.append(hog)
            answer = hog.begin()
            if not answer.startswith("354"):
                break
            hog.socket.sendall(b"".join(b"X-Long-%d: %s\r\n" % (line, b"x" * 900) for line in range(240)))
            self.assertLess(len(hogs), 100)
        self.assertRegex(answer, r"^452 4\.3\.1")
        self.assertGreater(relay.admin("status")["memory"]["limit_met"], 0)
        replies = []
        for hog in hogs[:-1]:
            hog.socket.sendall(b"X-Last: %s\r\n" % (b"x" * 900) * 20 + b"\r\nbody\r\n")
            replies.append(hog.say(b"."))
        self.assertTrue(all(re.match(r"250 |452 4\.3\.1", reply) for reply in replies), replies)
        self.assertTrue(any(reply.startswith("452") for reply in replies), replies)
        for hog in hogs:
            self.assertRegex(hog.say(b"RSET"), "^250")
        accepted = sum(reply.startswith("250") for reply in replies)
        for number, hog in enumerate(hogs):
            self.assertRegex(hog.send([b"short\r\n"], number)[0], "^250 ")
            hog.close()
        sink.wait(accepted + len(hogs), relay)
        wait_for(lambda: relay.admin("status")["memory"]["used_bytes"] == 0, 60, relay.log_tail)

    def test_a_message_that_filters_look_at_and_that_will_never_fit_is_refused_for_good(self):
        sink = self.opened(StreamSink())
        rules = [{"action": "add", "field": "X-Rule", "value": "seen"}]
        relay = self.relay({"queue": {"pending_append_bytes": 2 * MIB}, "filters": [{"use": "headers", "rule": rules}],
                            "process": {"message_memory": 16 * MIB, "message_memory_wait": "10m"}}, sink.next_hop)
        client = Client(relay)
        self.assertRegex(client.send([b"x" * 70 + b"\r\n"] * (4 * MIB // 72), 0)[0], r"^552 5\.3\.4 ")
        self.assertRegex(client.send([b"x" * 70 + b"\r\n"] * (MIB // 72), 1)[0], "^250 ")
        client.close()
        sink.wait(1, relay)
        wait_for(lambda: relay.admin("status")["memory"]["used_bytes"] == 0, 60, relay.log_tail)

    def test_next_hops_that_do_not_read_take_no_more_than_a_quarter_and_nothing_is_refused_for_it(self):
        sink = self.opened(StreamSink())
        relay = self.relay({"process": {"message_memory": 16 * MIB}, "server": {"smtp": {"max_size": 40}}}, sink.next_hop)
        sink.reading.clear()
        count, size = 20, 10 * MIB
        digests = []
        for number in range(count):
            client = Client(relay)
            answer, digest = client.send(blocks(size, b"%d" % number), number)
            self.assertRegex(answer, "^250 ")
            digests.append(digest)
            client.close()

        def quarter_taken():
            memory = relay.admin("status")["memory"]
            self.assertLessEqual(memory["used_bytes"], memory["limit_bytes"])
            self.assertLessEqual(memory["users"]["deliveries"], 4 * MIB)
            return memory["users"]["deliveries"] > 3 * MIB

        wait_for(quarter_taken, 60, relay.log_tail, 0.1)
        client = Client(relay)
        answer, digest = client.send(blocks(MIB, b"last"), count)
        self.assertRegex(answer, "^250 ", "mail is taken all the same")
        client.close()
        sink.reading.set()
        self.assertEqual(sorted(one[0] for one in sink.wait(count + 1, relay)), sorted([*digests, digest]))
        wait_for(lambda: relay.admin("status")["memory"]["used_bytes"] == 0, 60, relay.log_tail)

    def test_small_messages_that_find_no_room_in_memory_are_read_again(self):
        sink = self.opened(StreamSink())
        relay = self.relay({"queue": {"active_bytes": 65536}, "server": {"smtp": {"max_size": 1}}}, sink.next_hop)
        relay.admin("pause")
        digests = []
        client = Client(relay)
        for number in range(30):
            text = b"".join(b"line %d of %d\r\n" % (line, number) for line in range(1000))
            answer, digest = client.send([text], number)
            self.assertRegex(answer, "^250 ")
            digests.append(digest)
        relay.admin("resume")
        self.assertEqual(sorted(one[0] for one in sink.wait(30, relay)), sorted(digests))
        client.close()
        wait_for(lambda: relay.queue() == [], 60, relay.log_tail)


if __name__ == "__main__":
    main()
