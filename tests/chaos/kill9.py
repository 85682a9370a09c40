#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under load: every message acknowledged must arrive.

Clients submit numbered messages without pause; the relay is killed at moments drawn from a seed and started again on the
same spool. The next hop refuses some for now, so that retries are under way as well. At the end, per store, the numbers:

    acknowledged   got 250 after the final dot
    delivered      of these, arrived at the next hop
    duplicated     arrived more than once (allowed: the kill came between the next hop's 250 and the commit of it)
    lost           acknowledged and never arrived; must be 0
"""
import argparse
import collections
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
parser.add_argument("--seed", type=int, default=int(os.environ.get("HEDWIG_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32))
parser.add_argument("--stores", default="rocksdb,fs")
parser.add_argument("--clients", type=int, default=8)
parser.add_argument("--keep", action="store_true", help="keep spool and log")
options = parser.parse_args()
if options.build:
    os.environ["HEDWIG_BUILD_DIR"] = options.build
    os.environ.pop("HEDWIG_PLUGIN_DIR", None)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from hedwig_harness import Hedwig, Sink, wait_for  # noqa: E402

NUMBER = re.compile(rb"^X-Chaos: (\d+)", re.M)
SIZES = (200, 1000, 1000, 10000, 10000, 100000, 400000)


class Clients:
    """Threads that submit numbered messages, whatever happens to the relay."""

    def __init__(self, relay, count, seed):
        self.relay = relay
        self.acknowledged = set()
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
        for _ in range(choice.randrange(1, 20)):
            if self.stopping.is_set():
                break
            number = self.next_number()
            recipients = [b"r%d@d%d.example.net" % (index, choice.randrange(5)) for index in range(choice.choice((1, 1, 1, 3)))]
            link.sendall(b"MAIL FROM:<chaos@example.test>\r\n" + b"".join(b"RCPT TO:<" + to + b">\r\n" for to in recipients) + b"DATA\r\n")
            if [reply() for _ in range(len(recipients) + 2)][-1] != 354:
                link.sendall(b"RSET\r\n")
                reply()
                continue
            line = b"%08d " % number * 8 + b"\r\n"
            link.sendall(b"From: <chaos@example.test>\r\nSubject: chaos\r\nX-Chaos: %d\r\nX-Recipients: %d\r\n\r\n" % (number, len(recipients))
                         + line * (choice.choice(SIZES) // len(line) + 1) + b".\r\n")
            if reply() == 250:
                with self.lock:
                    self.acknowledged.add((number, len(recipients)))
        link.sendall(b"QUIT\r\n")

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


class NextHop:
    """Counts what arrives, by number and recipient; refuses one in twenty for now."""

    def __init__(self, seed):
        self.choice = random.Random(seed)
        self.arrived = collections.Counter()  # (number, recipient) -> times
        self.by_number = collections.Counter()  # number -> distinct recipients
        self.sink = Sink(on_rcpt=lambda *_: "450 4.2.0 not now" if self.choice.random() < 0.05 else None, on_data=self.take)

    def take(self, received, sink):
        number = int(NUMBER.search(received.data).group(1))
        for recipient in received.recipients:
            if not self.arrived[number, recipient]:
                self.by_number[number] += 1
            self.arrived[number, recipient] += 1
        sink.seen.clear()  # counted is enough; the bodies need not stay
        sink.messages.clear()


def trial(store, seed, kills, folder):
    choice = random.Random(seed)
    hop = NextHop(seed)
    relay = Hedwig(folder, store=store, next_hop=hop.sink.next_hop, config={
        "retry": {"initial_delay": "1s", "max_delay": "1s", "jitter": 0.1}, "server": {"max_retries": 1000},
        "queue": {"disk_reserve_bytes": 16 << 20}, "log": {"level": "warn"}})
    relay.start()
    clients = Clients(relay, options.clients, seed)
    try:
        for kill in range(1, kills + 1):
            before = len(clients.acknowledged)
            after = before + choice.randrange(1, 400)
            deadline = time.monotonic() + choice.uniform(0.2, 4)  # a slow disk must not make the test slow
            while len(clients.acknowledged) < after and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(choice.uniform(0, 0.03))
            if relay.process.poll() is not None:
                raise SystemExit(f"hedwig ended by itself with {relay.process.returncode}\n{relay.log_tail()}")
            relay.kill()
            print(f"  {store}: kill {kill}/{kills} after {len(clients.acknowledged)} acknowledged, {len(hop.by_number)} arrived", flush=True)
            relay.start(timeout=60)
    finally:
        clients.stop()

    def missing():
        return [(number, recipients) for number, recipients in clients.acknowledged if hop.by_number[number] < recipients]

    try:
        # A client draws its recipients' domains anew each, so that all of them differ by name.
        wait_for(lambda: not missing(), 120, "all acknowledged messages to arrive", 0.1)
        wait_for(lambda: relay.queue() == [], 60, "the queue to become empty", 0.2)
    except AssertionError as error:
        print(f"  {store}: {error}")
        print(relay.log_tail(40))
    lost = missing()
    relay.stop()
    hop.sink.close()
    return {
        "store": store, "kills": kills, "acknowledged": len(clients.acknowledged),
        "delivered": len(clients.acknowledged) - len(lost),
        "duplicated": sum(1 for times in hop.arrived.values() if times > 1), "lost": len(lost), "which": sorted(lost)[:10],
    }


def main():
    print(f"seed {options.seed} (repeat with --seed {options.seed})", flush=True)
    results = []
    for store in options.stores.split(","):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="hw-chaos-"))
        try:
            results.append(trial(store, options.seed, options.kills, folder))
        finally:
            if options.keep:
                print(f"kept: {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
    print(f"{'store':10} {'kills':>6} {'acknowledged':>13} {'delivered':>10} {'duplicated':>11} {'lost':>6}")
    for result in results:
        print(f"{result['store']:10} {result['kills']:6} {result['acknowledged']:13} {result['delivered']:10} "
              f"{result['duplicated']:11} {result['lost']:6}")
    for result in results:
        if result["lost"]:
            print(f"LOST in {result['store']}: {result['which']}", file=sys.stderr)
        if not result["acknowledged"]:
            print(f"{result['store']}: nothing was acknowledged, so nothing was shown", file=sys.stderr)
    sys.exit(1 if any(result["lost"] or not result["acknowledged"] for result in results) else 0)


if __name__ == "__main__":
    main()
