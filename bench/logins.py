#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What logins against a directory do to the other sessions of a relay.

One client sends a message of 1 KiB every 20 ms over a connection that stays open, while others log in with wrong passwords at a
steady rate over 16 connections: first nobody does, then each login is a search and a bind at a real slapd, then each is
answered from the cache. CPU is that of the relay's process, less what it took with nobody logging in. All in one run: compare the
rows with each other."""
import argparse
import base64
import multiprocessing
import os
import pathlib
import smtplib
import socket
import statistics
import sys
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", help="build folder (default: $HEDWIG_BUILD_DIR or build/release)")
parser.add_argument("--rate", type=int, default=1000, help="logins a second")
parser.add_argument("--seconds", type=float, default=10)
options = parser.parse_args()
ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ["HEDWIG_BUILD_DIR"] = options.build or os.environ.get("HEDWIG_BUILD_DIR") or str(ROOT / "build" / "release")
os.environ.pop("HEDWIG_PLUGIN_DIR", None)
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from hedwig_harness import Hedwig, host, make_certificate, plain_message  # noqa: E402
from ldap_test import BASE, Slapd  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 16


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:13]) / TICKS


def log_in(address, port, rate, seconds, fresh, done):
    """Logins with wrong passwords, a new one each time (fresh) or always the same."""
    open_ones = []
    for _ in range(CONNECTIONS):
        one = socket.create_connection((address, port))
        one.recv(1000)
        one.sendall(b"EHLO client.example\r\n")
        one.recv(1000)
        open_ones.append(one)
    count, start = 0, time.monotonic()
    while time.monotonic() - start < seconds:
        for one in open_ones:
            word = str(time.monotonic_ns()) if fresh else "wrong"
            one.sendall(b"AUTH PLAIN " + base64.b64encode(f"\0ada\0{word}".encode()) + b"\r\n")
        for one in open_ones:
            answer = one.recv(1000)
            assert answer.startswith(b"535"), answer
        count += len(open_ones)
        ahead = start + count / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    done.put(count / (time.monotonic() - start))


def measure(relay, seconds):
    """Milliseconds from the final dot to the 250 and of a NOOP, sorted."""
    taken, noops = [], []
    message = plain_message(body="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 13).encode()
    with smtplib.SMTP(relay.address, relay.port, timeout=60) as client:
        client.ehlo()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.monotonic()
            client.noop()
            noops.append((time.monotonic() - begun) * 1000)
            client.mail("alice@example.test")
            client.rcpt("bob@example.net")
            sent = time.monotonic()
            client.data(message)
            taken.append((time.monotonic() - sent) * 1000)
            time.sleep(max(0, begun + 0.02 - time.monotonic()))
    return sorted(noops), sorted(taken)


def phase(name, relay, server, fresh):
    done = multiprocessing.Queue()
    before, server_before, start = cpu(relay.process.pid), cpu(server.server.process.pid), time.monotonic()
    load = None
    if fresh is not None:
        load = multiprocessing.Process(target=log_in, args=(relay.address, relay.port, options.rate, options.seconds + 1, fresh, done))
        load.start()
        time.sleep(0.5)
    noops, taken = measure(relay, options.seconds)
    rate = 0.0
    if load:
        rate = done.get()
        load.join()
    length = time.monotonic() - start
    return {"name": name, "rate": rate, "cpu": (cpu(relay.process.pid) - before) / length,
            "slapd": (cpu(server.server.process.pid) - server_before) / length,
            "noop": noops, "taken": taken}


def main():
    with tempfile.TemporaryDirectory(prefix="hw-") as name:
        folder = pathlib.Path(name)
        certificate, key = make_certificate(folder, "ldap.example.com", [host(2)])
        server = Slapd(folder / "slapd", host(2), certificate, key)
        settings = {"use": "ldap", "workers": 8, "servers": [server.url], "ca_file": certificate,
                    "bind_dn": f"cn=hedwig,ou=services,{BASE}", "bind_password": "service secret", "base": BASE,
                    "user_filter": "(uid={user})", "negative_cache_time": "1h"}
        relay = Hedwig(folder / "hedwig", next_hop="127.0.0.1:1", config={
            "auth": [settings], "outbound": {"paused": True}, "log": {"level": "error"},
            "server": {"max_auth_failures": 1000}})
        relay.config["server"]["listeners"][0].update(allow_auth_in_clear=True)
        try:
            with relay:
                rows = [phase("nobody logs in", relay, server, None), phase("search and bind each", relay, server, True),
                        phase("cached", relay, server, False)]
        finally:
            server.close()
    quiet = rows[0]
    print("| logins | a second | CPU a login, relay | CPU a login, slapd | NOOP median, p99 | 250 median, p99 | p99 against nobody |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        def shown(values):
            return f"{statistics.median(values):.2f} ms, {values[int(len(values) * 0.99)]:.2f} ms"
        each = lambda what: f"{(row[what] - quiet[what]) / row['rate'] * 1e6:.0f} us" if row["rate"] else ""  # noqa: E731
        ratio = row["taken"][int(len(row["taken"]) * 0.99)] / quiet["taken"][int(len(quiet["taken"]) * 0.99)]
        print(f"| {row['name']} | {row['rate']:.0f} | {each('cpu')} | {each('slapd')} | {shown(row['noop'])} | "
              f"{shown(row['taken'])} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
