#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Crowds and abuse: many clients, slow clients, clients that never read, clients that leave in every state, and input that
might cost time. Prints the table of docs/performance.md; ends with 1 where something that must hold did not.

    idle        open connections that said EHLO: memory of each, and how long a new one waits for its greeting
    flood       so many new connections a second: how many were greeted, and when
    slowloris   clients that send an octet now and then, while others send mail: what those others wait for their 250
    unread      clients that send commands and never read the replies: what they cost, and that they are ended
    leaving     clients that go away in every state, politely and by reset: what is left of them afterwards
    costly      input that might be worked on for long: CPU time of the relay for each

With --smoke everything is small, and times are printed but not judged: for machines that do something else besides.
"""
import argparse
import contextlib
import os
import pathlib
import resource
import select
import shutil
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", help="build folder (default: $HEDWIG_BUILD_DIR or build/dev)")
parser.add_argument("--smoke", action="store_true", default=bool(os.environ.get("HEDWIG_CHAOS_SMOKE")))
parser.add_argument("--only", default="idle,flood,slowloris,unread,leaving,costly")
options = parser.parse_args()
if options.build:
    os.environ["HEDWIG_BUILD_DIR"] = options.build
    os.environ.pop("HEDWIG_PLUGIN_DIR", None)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from hedwig_harness import PATIENCE, Hedwig, free_port, host, make_certificate, wait_for  # noqa: E402

SMOKE = options.smoke
IDLE, FLOOD_RATE, FLOOD_SECONDS = (500, 200, 2) if SMOKE else (10000, 2000, 30)
SLOW, SENDERS, SENDING_SECONDS = (50, 4, 1) if SMOKE else (1000, 4, 20)
UNREAD, ROUNDS = (20, 2) if SMOKE else (200, 20)
DEADLINE = 120 * PATIENCE

rows, faults = [], []


def row(scenario, what, value, must="", good=True):
    rows.append((scenario, what, value, must, "" if good else "**missed**"))
    if not good:
        faults.append(f"{scenario}: {what} is {value}, must be {must}")


def timed(scenario, what, value, unit, limit):
    """A number that only an idle machine can keep to."""
    row(scenario, what, f"{value:.1f} {unit}", f"under {limit} {unit}", SMOKE or value < limit)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Crowd:
    """Many sockets on one epoll, from many addresses, so that ports do not run out."""

    def __init__(self, relay):
        self.relay, self.poll, self.by_fd, self.count = relay, select.epoll(), {}, 0

    def connect(self, port=None):
        one = socket.socket()
        one.setblocking(False)
        one.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        one.bind((host(2 + self.count % 250), 0))
        self.count += 1
        with contextlib.suppress(BlockingIOError):
            one.connect((self.relay.address, port or self.relay.port))
        self.by_fd[one.fileno()] = one
        self.poll.register(one.fileno(), select.EPOLLIN | select.EPOLLRDHUP)
        return one

    def drop(self, one):
        self.by_fd.pop(one.fileno(), None)
        with contextlib.suppress(OSError):
            self.poll.unregister(one.fileno())
        one.close()

    def ready(self, timeout):
        for fd, _ in self.poll.poll(timeout):
            if fd in self.by_fd:
                yield self.by_fd[fd]

    def close(self):
        for one in list(self.by_fd.values()):
            self.drop(one)
        self.poll.close()


def heard(one):
    try:
        return one.recv(4096)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def descriptors(relay):
    return len(os.listdir(f"/proc/{relay.process.pid}/fd"))


def cpu_seconds(relay):
    fields = pathlib.Path(f"/proc/{relay.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settled(relay):
    """Nobody is connected any more, and no octet of a message is held."""
    wait_for(lambda: relay.metric("hedwig_connections") == 0, 120, lambda: "all sessions to end\n" + relay.log_tail())
    wait_for(lambda: relay.metrics().get('hedwig_memory_used_bytes{user="sessions"}', 0) == 0, 60,
             lambda: "the memory of sessions to come back\n" + relay.log_tail())


def greeting_time(relay):
    begun = time.perf_counter()
    with socket.create_connection((relay.address, relay.port), timeout=DEADLINE) as one:
        assert one.recv(3) == b"220"
        return (time.perf_counter() - begun) * 1000


def greet_all(crowd, wanted, window=500):
    """Opens connections until `wanted` of them have been greeted and answered EHLO; a few at a time are under way."""
    stage, opened, done, deadline = {}, 0, 0, time.monotonic() + DEADLINE
    while done < wanted and time.monotonic() < deadline:
        while opened < wanted and opened - done < window:
            stage[crowd.connect()] = b""
            opened += 1
        for one in crowd.ready(0.1):
            more = heard(one)
            if not more:
                continue
            text = stage[one] = stage[one] + more
            if text.startswith(b"220") and text.endswith(b"\r\n") and b"\n250" not in text:
                one.send(b"EHLO crowd.example\r\n")
                stage[one] = b"\n"
            elif b"\n250 " in text and text.endswith(b"\r\n"):
                stage[one] = b"done"
                done += 1
    return done


def idle(relay):
    greet_all(warm := Crowd(relay), 200)
    warm.close()
    settled(relay)
    before = relay.resident_kib()
    crowd = Crowd(relay)
    done = greet_all(crowd, IDLE)
    row("idle", "connections", done, IDLE, done == IDLE)
    per = (relay.resident_kib() - before) / max(1, done)
    row("idle", "memory of each", f"{per:.1f} KiB", "under 8 KiB", SMOKE or per < 8)
    waits = [greeting_time(relay) for _ in range(20)]
    timed("idle", "greeting of one more, the slowest of 20", max(waits), "ms", 100)
    used = cpu_seconds(relay)
    time.sleep(1)
    timed("idle", "CPU of a second in which nothing happens", (cpu_seconds(relay) - used) * 1000, "ms", 100)
    crowd.close()
    settled(relay)
    after = relay.resident_kib()
    row("idle", "memory that the allocator keeps for the next ones", f"{(after - before) / 1024:.1f} MiB")
    again = Crowd(relay)
    greet_all(again, IDLE)
    again.close()
    settled(relay)
    grown = (relay.resident_kib() - after) / 1024
    row("idle", "memory that as many again add", f"{grown:.1f} MiB", "under 8 MiB", grown < 8)


def flood(relay):
    crowd, waits, failed, begun = Crowd(relay), [], 0, time.perf_counter()
    since, total, opened = {}, FLOOD_RATE * FLOOD_SECONDS, 0
    used = cpu_seconds(relay)
    while len(waits) + failed < total and time.perf_counter() - begun < FLOOD_SECONDS + DEADLINE:
        due = min(total, int((time.perf_counter() - begun) * FLOOD_RATE) + 1)
        for _ in range(min(100, due - opened)):
            since[crowd.connect()] = time.perf_counter()
            opened += 1
        for one in crowd.ready(0.001):
            text = heard(one)
            if text is None:
                continue
            if text.startswith(b"220"):
                waits.append((time.perf_counter() - since[one]) * 1000)
            else:
                failed += 1
            del since[one]
            crowd.drop(one)
    seconds = time.perf_counter() - begun
    crowd.close()
    row("flood", "connections, and how many a second", f"{opened}, {opened / seconds:.0f}", f"{FLOOD_RATE} a second",
        SMOKE or opened / seconds > 0.95 * FLOOD_RATE)
    row("flood", "not greeted", total - len(waits), 0, len(waits) == total)
    timed("flood", "greeting, p50", percentile(waits, 0.5), "ms", 100)
    row("flood", "greeting, p99", f"{percentile(waits, 0.99):.1f} ms")
    row("flood", "CPU of the relay for each", f"{(cpu_seconds(relay) - used) / max(1, opened) * 1e6:.0f} µs")
    settled(relay)


class Sender(threading.Thread):
    """Sends one message after the other on one connection, and writes down what it waited for each 250."""

    body = b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n.\r\n"

    def __init__(self, relay):
        super().__init__(daemon=True)
        self.relay, self.waits, self.stop, self.fault = relay, [], False, None

    def run(self):
        try:
            while not self.stop:
                self.connection()
        except (AssertionError, OSError) as error:
            self.fault = error

    def connection(self):
        with socket.create_connection((self.relay.address, self.relay.port), timeout=DEADLINE) as one:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = one.makefile("rb")
            stream.readline()
            one.sendall(b"HELO sender.example\r\n")
            stream.readline()
            for _ in range(5000):  # one connection may not send for ever
                begun = time.perf_counter()
                for part in (b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<c@d.test>\r\n", b"DATA\r\n", self.body):
                    one.sendall(part)
                    answer = stream.readline()
                    assert answer[:1] in b"23", answer
                self.waits.append((time.perf_counter() - begun) * 1000)
                if self.stop:
                    break


def sending(relay):
    senders = [Sender(relay) for _ in range(SENDERS)]
    for one in senders:
        one.start()
    time.sleep(SENDING_SECONDS)
    for one in senders:
        one.stop = True
    for one in senders:
        one.join(DEADLINE)
        if one.fault:
            faults.append(f"slowloris: a sender of mail failed: {one.fault}")
    return [wait for one in senders for wait in one.waits]


def slowloris(relay):
    sending(relay)  # warm
    alone = sending(relay)
    crowd = Crowd(relay)
    done = greet_all(crowd, SLOW)
    row("slowloris", "slow clients", done, SLOW, done == SLOW)
    slow = list(crowd.by_fd.values())
    for one in slow[::2]:  # half of them in a message, half in a command
        one.setblocking(True)
        one.sendall(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n")
        one.setblocking(False)
    stop = threading.Event()

    def trickle():
        while not stop.wait(1.0):
            for one in slow:
                with contextlib.suppress(OSError):
                    one.send(b"x")

    trickler = threading.Thread(target=trickle, daemon=True)
    trickler.start()
    beside = sending(relay)
    stop.set()
    trickler.join(DEADLINE)
    row("slowloris", "messages of others, alone and beside them", f"{len(alone)}, {len(beside)}")
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        before, after = percentile(alone, share), percentile(beside, share)
        loss = (after / before - 1) * 100 if before else 0
        row("slowloris", f"a message of others, {name}", f"{before:.2f} ms, then {after:.2f} ms ({loss:+.0f} %)",
            "under 20 % more" if name == "p99" else "", SMOKE or name == "p50" or loss < 20)
    # Their time is up, whatever trickles in.
    ended, deadline = 0, time.monotonic() + DEADLINE
    while crowd.by_fd and time.monotonic() < deadline:
        for one in list(crowd.ready(0.1)):
            if heard(one) == b"":
                ended += 1
                crowd.drop(one)
    row("slowloris", "slow clients that were ended", ended, SLOW, ended == SLOW)
    crowd.close()
    settled(relay)


def unread(relay):
    settled(relay)
    before = relay.resident_kib()
    crowd, most = [], before
    for number in range(UNREAD):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.bind((host(2 + number % 250), 0))
        one.connect((relay.address, relay.port))
        one.recv(1000)
        one.setblocking(False)
        crowd.append(one)
    commands, stuck, deadline = b"EHLO unread.example\r\n" * 3000, set(), time.monotonic() + DEADLINE
    sent = dict.fromkeys(crowd, 0)
    while len(stuck) < UNREAD and time.monotonic() < deadline:
        for one in crowd:
            if one in stuck:
                continue
            try:
                sent[one] += one.send(commands)
                if sent[one] > 64 << 20:
                    break
            except BlockingIOError:
                stuck.add(one)
            except OSError:
                stuck.add(one)  # ended already
        most = max(most, relay.resident_kib())
    row("unread", "clients whose octets wait in the kernels, or that were ended", len(stuck), UNREAD, len(stuck) == UNREAD)
    each = (most - before) / UNREAD
    row("unread", "memory of each at most", f"{each:.0f} KiB", "under 512 KiB", each < 512)
    timed("unread", "greeting of another client beside them", greeting_time(relay), "ms", 100)
    wait_for(lambda: relay.metric("hedwig_connections") == 0, 120, lambda: "clients that never read to be ended\n" + relay.log_tail())
    row("unread", "clients that were ended", UNREAD, UNREAD)
    for one in crowd:
        one.close()
    settled(relay)


HELLO = b"EHLO leaving.example\r\n"
MAIL = HELLO + b"MAIL FROM:<a@b.test>\r\n"
RCPT = MAIL + b"RCPT TO:<c@d.test>\r\n"
STATES = {
    "connected": (b"", 0), "half a command": (b"EHL", 0), "EHLO": (HELLO, 0), "MAIL": (MAIL, 0), "RCPT": (RCPT, 0),
    "DATA": (RCPT + b"DATA\r\n", 0), "in a message": (RCPT + b"DATA\r\n" + b"x" * 70 + b"\r\n" * 100, 0),
    "in a large message": (RCPT + b"DATA\r\nSubject: x\r\n\r\n" + (b"x" * 998 + b"\r\n") * 600, 0),
    "behind the final dot": (RCPT + b"DATA\r\nSubject: x\r\n\r\nx\r\n.\r\n", 0),
    "BDAT": (RCPT + b"BDAT 100000\r\n" + b"x" * 5000, 0), "AUTH": (HELLO + b"AUTH PLAIN\r\n", 0),
    "AUTH that waits": (HELLO + b"AUTH PLAIN AGFubgB3cm9uZw==\r\n", 0), "QUIT": (b"QUIT\r\n", 0),
    "STARTTLS": (HELLO + b"STARTTLS\r\n", 0), "half a handshake": (HELLO + b"STARTTLS\r\n", 100),
    "implicit TLS": (None, 0), "half a header of a proxy": (b"PROXY TCP4 1.2", "proxy"), "behind it": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "proxy"),
    "no header of a proxy": (b"EHLO x\r\n", "proxy"),
}


def leave(relay, name, reset):
    first, extra = STATES[name]
    port = relay.proxy_port if extra == "proxy" else relay.tls_port if first is None else relay.port
    one = socket.create_connection((relay.address, port), timeout=DEADLINE)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        if first is None:
            one = trust.wrap_socket(one)
            one.sendall(RCPT + b"DATA\r\nxx")
        else:
            if extra != "proxy":
                one.recv(1000)
            one.sendall(first)
            if extra == 100:
                while b"220 2" not in one.recv(4096):
                    pass
                one.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01")
    except OSError:
        pass  # ended by the relay, which is right in some states
    if reset:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # Without a goodbye of TLS.
    one.detach() if isinstance(one, ssl.SSLSocket) and os.close(one.fileno()) is None else one.close()


def leaving(relay):
    def everything(rounds):
        for _ in range(rounds):
            for name in STATES:
                for reset in (False, True):
                    leave(relay, name, reset)

    everything(ROUNDS)  # until the store has what it keeps in memory
    settled(relay)
    files, memory = descriptors(relay), relay.resident_kib()
    everything(ROUNDS)
    settled(relay)
    wait_for(lambda: descriptors(relay) <= files, 60, lambda: f"{descriptors(relay)} descriptors to become {files}")
    row("leaving", "clients that left, in how many states", f"{ROUNDS * len(STATES) * 2}, {len(STATES)}")
    row("leaving", "descriptors before and after", f"{files}, {descriptors(relay)}")
    grown = relay.resident_kib() - memory
    row("leaving", "memory that they add, after as many before them", f"{grown} KiB", "under 8192 KiB", grown < 8192)


def costly_inputs():
    big = 2 if SMOKE else 25
    data = RCPT + b"DATA\r\n"
    text = b"From: a@b.test\r\nSubject: x\r\n\r\n"

    def message(octets):
        return data + octets + b"\r\n.\r\n"

    yield "commands of a line without end", b"x" * (4 << 20)
    yield "NOOP, 4 MiB", b"NOOP\r\n" * ((4 << 20) // 6 - 100)
    yield "RSET with EHLO between", (HELLO + b"RSET\r\n") * 50000
    yield "a thousand recipients", MAIL + b"".join(b"RCPT TO:<%d@%s.test>\r\n" % (n, b"d" * 60) for n in range(1100)) + b"DATA\r\nx: y\r\n\r\n.\r\n"
    yield "recipients with long quoted names", MAIL + b'RCPT TO:<"%s"@d.test>\r\n' % (b"\\\"" * 31) * 900
    yield "a header of many fields", message(b"X: y\r\n" * 40000 + b"\r\n")
    yield "a header folded over and over", message(b"Subject: x\r\n" + b" y\r\n" * 60000 + b"\r\n")
    yield "From with nested comments", message(b"From: " + b"(" * 120000 + b"\r\n " + b")" * 120000 + b" a@b.test\r\n\r\n")
    yield "From with quoted pairs", message(b"From: \"" + b"\\\"" * 100000 + b"\" <a@b.test>\r\n\r\n")
    yield "From with many addresses", message(b"From: " + b"a@b.test,\r\n " * 20000 + b"c@d.test\r\n\r\n")
    yield "From with routes and groups", message(b"From: " + b"g:<@x,@y:a@b>;," * 15000 + b"\r\n\r\n")
    yield "Received and nothing else", message(b"Received: from x by y; z\r\n" * 9000 + b"\r\n")
    yield "Message-ID, Date and Bcc over and over", message(b"Message-ID: <x>\r\nDate: y\r\nBcc: z\r\n" * 6000 + b"\r\n")
    yield "dots", message(text + b"..\r\n" * (big << 18))
    yield "empty lines", message(text + b"\r\n" * (big << 19))
    yield "CR", message(text + b"\r" * (big << 20))
    yield "LF", message(text + b"\n" * (big << 20))
    yield "a line of megabytes", message(text + b"x" * (big << 20))
    yield "boundaries in boundaries", message(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" * (big << 13))
    yield "chunks of an octet", RCPT + b"BDAT 1\r\nx" * 100000 + b"BDAT 0 LAST\r\n"
    yield "parameters", HELLO + (b"MAIL FROM:<a@b.test> " + b"X=y " * 240 + b"\r\n") * 2000
    yield "xtext", HELLO + (b"MAIL FROM:<a@b.test> ENVID=" + b"+2B" * 30 + b"\r\nRSET\r\n") * 5000
    yield "base64 without end", HELLO + b"AUTH PLAIN " + b"QUJD" * (1 << 18)
    yield "HTTP", b"GET / HTTP/1.1\r\n" * 100000


def push(relay, octets):
    """Sends it all, reads what comes, and waits until the relay has no more to say to it."""
    with socket.create_connection((relay.address, relay.port), timeout=DEADLINE) as one:
        one.recv(1000)
        one.setblocking(False)
        rest, open_ = memoryview(octets), True
        deadline = time.monotonic() + DEADLINE
        while rest and open_ and time.monotonic() < deadline:
            can_read, can_write, _ = select.select([one], [one], [], 1)
            with contextlib.suppress(BlockingIOError):
                try:
                    if can_write:
                        rest = rest[one.send(rest[:1 << 18]):]
                    if can_read and not one.recv(1 << 18):
                        open_ = False
                except ConnectionError:
                    open_ = False
        with contextlib.suppress(OSError):
            one.setblocking(True)
            one.settimeout(DEADLINE)
            if open_:
                one.sendall(b"\r\n.\r\nQUIT\r\n")
                one.shutdown(socket.SHUT_WR)
            while one.recv(1 << 18):
                pass


def costly(relay):
    worst = (0.0, "")
    for name, octets in costly_inputs():
        before = cpu_seconds(relay)
        push(relay, octets)
        settled(relay)
        took = cpu_seconds(relay) - before
        worst = max(worst, (took, name))
        if not SMOKE and took >= 1:
            faults.append(f"costly: {name} ({len(octets)} octets) took {took:.2f} s of CPU")
    row("costly", "inputs", sum(1 for _ in costly_inputs()))
    timed("costly", f"CPU for the worst of them ({worst[1]})", worst[0] * 1000, "ms", 1000)


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hw-crowd-"))
    certificate = make_certificate(folder)
    global trust
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    scenarios = {"idle": idle, "flood": flood, "slowloris": slowloris, "unread": unread, "leaving": leaving, "costly": costly}
    # Short times where the scenario waits for them.
    short = {"slowloris": {"cmd_timeout": f"{SENDING_SECONDS + (4 if SMOKE else 10)}s", "data_timeout": f"{SENDING_SECONDS + (4 if SMOKE else 10)}s"},
             "unread": {"cmd_timeout": "2s" if SMOKE else "5s"}, "leaving": {"proxy_timeout": "5s", "auth_failures_per_address": 0}}
    tls = {"cert_path": certificate[0], "key_path": certificate[1]}
    try:
        for name in options.only.split(","):
            relay = Hedwig(folder / name)
            relay.folder.mkdir()
            relay.tls_port, relay.proxy_port = free_port(), free_port()
            relay.write_config({
                "log": {"level": "warn"}, "server": {
                    "disable_outbound": True, "max_connections": 15000, "auth": [{"username": "ann", "password": "right"}], "greeting_timeout": "5m",
                    "listeners": [{"addr": f"{relay.address}:{relay.port}", "allow_auth_in_clear": True, "tls": {**tls, "mode": "starttls"}},
                                  {"addr": f"{relay.address}:{relay.tls_port}", "tls": {**tls, "mode": "implicit"}},
                                  {"addr": f"{relay.address}:{relay.proxy_port}", "proxy_from": ["127.0.0.0/8"]}],
                    **short.get(name, {})}})
            with relay:
                scenarios[name](relay)
                if (fault := [line for line in relay.log_text().splitlines() if '"level":"error"' in line.replace(" ", "").lower()]):
                    faults.append(f"{name}: the log has errors: {fault[:3]}")
    finally:
        print("| scenario | what | measured | must be | |\n|---|---|---:|---|---|")
        for one in rows:
            print("| " + " | ".join(str(cell) for cell in one) + " |")
        shutil.rmtree(folder, ignore_errors=True)
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
