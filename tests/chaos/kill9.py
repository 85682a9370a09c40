#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under load: every message acknowledged must arrive, octet for octet.

Clients submit numbered messages without pause; the relay is killed at moments drawn from a seed and started again on the
same spool. The next hop refuses some for now, so that retries are under way as well. At the end, per store, the numbers:

    acknowledged   got 250 after the final dot
    delivered      of these, arrived at the next hop, every recipient of them
    lost           acknowledged and never arrived; must be 0
    corrupted      arrived with a body other than the one sent, acknowledged or not; must be 0
    duplicated     messages of which a recipient got more than one, kill by kill: allowed where the kill came between the
                   next hop's 250 and the commit of it, so about as many at most as were in delivery
    in delivery    the sum, over the kills, of the messages the relay had in memory for delivery just before each
    window ms      the longest time from the first arrival of a duplicated one to the kill that followed
    stray          duplicated with no kill between the two arrivals; must be 0
"""
import argparse
import asyncio
import collections
import hashlib
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import socket
import sys
import tempfile
import threading
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", help="build folder (default: $HEDWIG_BUILD_DIR or build/dev)")
parser.add_argument("--kills", type=int, default=int(os.environ.get("HEDWIG_CHAOS_KILLS", "20")))
parser.add_argument("--messages", type=int, default=0, help="acknowledged messages in all; kills come evenly, more or less (default: 200 a kill)")
parser.add_argument("--seed", type=int, default=int(os.environ.get("HEDWIG_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32))
parser.add_argument("--stores", default="rocksdb,fs")
parser.add_argument("--clients", type=int, default=8)
parser.add_argument("--small", action="store_true", help="messages of a few hundred octets to 10 KiB only")
parser.add_argument("--keep", action="store_true", help="keep spool and log")
options = parser.parse_args()
if options.build:
    os.environ["HEDWIG_BUILD_DIR"] = options.build
    os.environ.pop("HEDWIG_PLUGIN_DIR", None)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from hedwig_harness import Hedwig, free_port, host, wait_for  # noqa: E402

SIZES = (200, 400, 1000, 1000, 10000) if options.small else (200, 1000, 1000, 10000, 10000, 100000, 400000)
UPTIME_MAX = 30  # a slow disk must not make the test endless


def body_of(number, size):
    """Lines that differ from each other and from those of every other message."""
    name = hashlib.sha256(b"%d" % number).hexdigest().encode()
    return b"".join(b"%s %06d\r\n" % (name, line) for line in range(size // 73 + 1))


class Clients:
    """Threads that submit numbered messages, whatever happens to the relay."""

    def __init__(self, relay, count, seed):
        self.relay = relay
        self.acknowledged = {}  # number -> recipients
        self.sent = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(random.Random(seed * 1000 + number),)) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def next_number(self):
        with self.lock:
            self.sent += 1
            return self.sent

    def run(self, choice):
        while not self.stopping.is_set():
            try:
                with socket.create_connection((self.relay.address, self.relay.port), timeout=30) as link:
                    self.session(link, choice)
            except (OSError, EOFError):
                self.stopping.wait(0.01)

    def session(self, link, choice):
        stream = link.makefile("rb")

        def reply():
            while True:
                line = stream.readline()
                if not line.endswith(b"\r\n"):
                    raise EOFError
                if line[3:4] != b"-":
                    return int(line[:3])

        if reply() != 220:
            return
        link.sendall(b"EHLO chaos.example.test\r\n")
        reply()
        for _ in range(choice.randrange(1, 40)):
            if self.stopping.is_set():
                break
            number = self.next_number()
            recipients = [b"r%d@d%d.example.net" % (index, choice.randrange(5)) for index in range(choice.choice((1, 1, 1, 3)))]
            link.sendall(b"MAIL FROM:<chaos@example.test>\r\n" + b"".join(b"RCPT TO:<" + to + b">\r\n" for to in recipients) + b"DATA\r\n")
            if [reply() for _ in range(len(recipients) + 2)][-1] != 354:
                link.sendall(b"RSET\r\n")
                reply()
                continue
            body = body_of(number, choice.choice(SIZES))
            link.sendall(b"From: <chaos@example.test>\r\nSubject: chaos\r\nX-Chaos: %d %s\r\n\r\n%s.\r\n" % (
                number, hashlib.sha256(body).hexdigest().encode(), body))
            if reply() == 250:
                with self.lock:
                    self.acknowledged[number] = len(recipients)
        link.sendall(b"QUIT\r\n")

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


class HopConnection(asyncio.Protocol):
    """The next hop's side of one connection: takes what comes and counts it; refuses one recipient in twenty for now."""

    CHAOS = re.compile(rb"^X-Chaos: (\d+) ([0-9a-f]{64})\r\n", re.M)

    def __init__(self, book):
        self.book = book
        self.buffer = bytearray()
        self.recipients = []
        self.in_data = False

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"220 hop.example.net\r\n")

    def data_received(self, data):
        self.buffer += data
        replies = []
        while True:
            end = self.buffer.find(b"\r\n.\r\n" if self.in_data else b"\r\n")
            if end < 0:
                break
            if self.in_data:
                self.book.take(bytes(self.buffer[:end + 2]), self.recipients)
                del self.buffer[:end + 5]
                self.in_data = False
                replies.append(b"250 2.0.0 taken\r\n")
                continue
            line = bytes(self.buffer[:end])
            del self.buffer[:end + 2]
            replies.append(self.command(line))
        if replies:
            self.transport.write(b"".join(replies))

    def command(self, line):
        verb = line[:4].upper()
        if verb == b"EHLO":
            return b"250-hop.example.net\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000\r\n"
        if verb == b"MAIL":
            self.recipients = []
        elif verb == b"RCPT":
            if self.book.choice.random() < 0.05:
                return b"450 4.2.0 not now\r\n"
            self.recipients.append(line[line.index(b"<") + 1:line.index(b">")])
        elif verb == b"DATA":
            if not self.recipients:
                return b"554 5.5.1 no recipients\r\n"
            self.in_data = True
            return b"354 go on\r\n"
        return b"250 2.0.0 ok\r\n"


class Book:
    """What arrived, in the next hop's own process."""

    def __init__(self, seed, arrivals):
        self.choice = random.Random(seed)
        self.arrivals = arrivals
        self.times = {}  # (number, recipient) -> when first
        self.again = []  # (number, recipient, when before, when again)
        self.corrupted = set()

    def take(self, message, recipients):
        header, _, body = message.partition(b"\r\n\r\n")
        found = HopConnection.CHAOS.search(header + b"\r\n")
        number = int(found.group(1)) if found else -1
        if not found or hashlib.sha256(body).hexdigest().encode() != found.group(2):
            self.corrupted.add(number)
        now = time.monotonic()
        for recipient in recipients:
            before = self.times.get((number, recipient))
            if before is not None:
                self.again.append((number, recipient, before, now))
            self.times[number, recipient] = now
        self.arrivals.value = len(self.times)


def run_hop(address, port, seed, arrivals, pipe):
    book = Book(seed, arrivals)

    async def serve():
        server = await asyncio.get_running_loop().create_server(lambda: HopConnection(book), address, port, backlog=512)
        pipe.send("ready")
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, pipe.recv) != "end":
            pipe.send((collections.Counter(number for number, _ in book.times), book.again, book.corrupted))
        server.close()

    asyncio.run(serve())


class NextHop:
    """A process of its own, so that the clients do not slow it down."""

    def __init__(self, seed):
        self.address, self.port = host(), free_port()
        self.arrivals = multiprocessing.Value("L", 0)
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=run_hop, args=(self.address, self.port, seed, self.arrivals, other), daemon=True)
        self.process.start()
        if not self.pipe.poll(60):
            raise SystemExit("the next hop does not start")
        self.pipe.recv()

    @property
    def next_hop(self):
        return f"{self.address}:{self.port}"

    def report(self):
        """Recipients that have arrived by number, repeated arrivals, numbers whose body was wrong."""
        self.pipe.send("report")
        return self.pipe.recv()

    def close(self):
        self.pipe.send("end")
        self.process.join(30)


def in_delivery(relay):
    try:
        return int(relay.metric("hedwig_active_messages"))
    except OSError:
        return 0


def trial(store, seed, folder):
    choice = random.Random(seed)
    hop = NextHop(seed)
    relay = Hedwig(folder, store=store, next_hop=hop.next_hop, config={
        "retry": {"initial_delay": "1s", "max_delay": "1s", "jitter": 0.1}, "server": {"max_retries": 1000},
        "queue": {"disk_reserve_bytes": 16 << 20}, "log": {"level": "warn"}})
    begun = time.monotonic()
    relay.start(timeout=60)
    clients = Clients(relay, options.clients, seed)
    kills, active = [], 0
    share = options.messages / options.kills if options.messages else 200
    try:
        for kill in range(1, options.kills + 1):
            # Measured from where the run should be by now, so that the sum comes out right.
            after = max(len(clients.acknowledged) + 1, int(share * (kill - 1) + choice.uniform(0.1, 1.9) * share))
            deadline = time.monotonic() + (UPTIME_MAX if options.messages else choice.uniform(0.2, 4))
            while len(clients.acknowledged) < after and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(choice.uniform(0, 0.03))
            if relay.process.poll() is not None:
                raise SystemExit(f"hedwig ended by itself with {relay.process.returncode}\n{relay.log_tail()}")
            active += in_delivery(relay)
            killed = time.monotonic()
            relay.kill()
            if kill % max(1, options.kills // 20) == 0:
                print(f"  {store}: kill {kill}/{options.kills} after {len(clients.acknowledged)} acknowledged, "
                      f"{hop.arrivals.value} arrivals", flush=True)
            relay.start(timeout=120)
            kills.append((killed, time.monotonic()))
        wait_for(lambda: len(clients.acknowledged) >= options.messages, 600, "the rest of the messages", 0.05)
    finally:
        clients.stop()

    def missing():
        arrived = hop.report()[0]
        return [number for number, recipients in clients.acknowledged.items() if arrived[number] < recipients]

    try:
        wait_for(lambda: not missing(), 300, "all acknowledged messages to arrive", 1)
        wait_for(lambda: relay.queue() == [], 120, "the queue to become empty", 0.2)
    except AssertionError as error:
        print(f"  {store}: {error}")
        print(relay.log_tail(40))
    lost = missing()
    _, again, corrupted = hop.report()
    relay.stop()
    hop.close()
    twice, stray, window = set(), [], 0.0
    for number, recipient, before, after in again:
        # The next hop may read late what was sent before the kill, but not later than the relay is back.
        kill = next((killed for killed, up in kills if before < up and killed < after), None)
        if kill is None:
            stray.append((number, recipient))
        else:
            twice.add((number, kill))
            window = max(window, kill - before)
    return {
        "store": store, "kills": len(kills), "acknowledged": len(clients.acknowledged),
        "delivered": len(clients.acknowledged) - len(lost), "lost": len(lost), "corrupted": len(corrupted),
        "duplicated": len(twice), "in delivery": active, "window ms": round(window * 1000), "stray": len(stray),
        "seconds": round(time.monotonic() - begun),
    }, {"lost": lost[:10], "corrupted": sorted(corrupted)[:10], "stray": stray[:10]}


def main():
    print(f"seed {options.seed} (repeat with --seed {options.seed})", flush=True)
    results = []
    for store in options.stores.split(","):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="hw-chaos-"))
        try:
            results.append(trial(store, options.seed, folder))
        finally:
            if options.keep:
                print(f"kept: {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
    print(" ".join(f"{name:>12}" for name in results[0][0]))
    good = True
    for result, examples in results:
        print(" ".join(f"{value:>12}" for value in result.values()))
        for fault in ("lost", "corrupted", "stray"):
            if result[fault]:
                good = False
                print(f"{fault} in {result['store']}: {examples[fault]}", file=sys.stderr)
        if not result["acknowledged"]:
            good = False
            print(f"{result['store']}: nothing was acknowledged, so nothing was shown", file=sys.stderr)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
