# SPDX-License-Identifier: Apache-2.0
"""Many recipients, a large message, many connections that do nothing."""
import collections
import random
import resource
import socket
import pathlib

from hedwig_harness import STORES, Case, Nsd, Sink, free_port, host, main, plain_message, skip, wait_for


class Recipients(Case):
    def addresses(self, count, domains):
        return [f"user{number}@d{number % domains}.example.net" for number in range(count)]

    def check(self, relay, sinks, recipients):
        wait_for(lambda: sum(len(got.recipients) for sink in sinks for got in list(sink.messages)) >= len(recipients), 60, relay.log_tail)
        counts = collections.Counter(address for sink in sinks for got in sink.messages for address in got.recipients)
        self.assertEqual(counts, collections.Counter(recipients), "each once")
        return sum(len(sink.messages) for sink in sinks)

    def test_1_100_and_1000_recipients_through_a_smart_host(self):
        for store in STORES:
            for count, domains, transactions in ((1, 1, 1), (100, 30, 2), (1000, 250, 20)):
                with self.subTest(store=store, count=count):
                    sink = self.sink()
                    relay = self.relay(next_hop=sink.next_hop, store=store)
                    recipients = self.addresses(count, domains)
                    self.assertEqual(relay.submit(recipients=recipients), {})
                    self.assertLessEqual(self.check(relay, [sink], recipients), transactions, "one transaction for many recipients")
                    wait_for(lambda: relay.queue() == [], 20, relay.log_tail)
                    relay.stop()

    def test_1000_recipients_over_100_domains_by_mx(self):
        zones = {"example.net": "".join(f"d{n} MX 10 mx{n % 4}\n" for n in range(100)) +
                 "".join(f"mx{n} A {host(20 + n)}\n" for n in range(4))}
        nsd = self.opened(Nsd(self.folder / "nsd", zones))
        port = free_port(host(20))
        sinks = [self.opened(Sink(address=host(20 + n), port=port)) for n in range(4)]
        relay = self.relay({"dns": {"servers": [f"{nsd.address}:{nsd.port}"]}, "outbound": {"port": port}})
        recipients = self.addresses(1000, 100)
        self.assertEqual(relay.submit(recipients=recipients), {})
        self.check(relay, sinks, recipients)
        for number, sink in enumerate(sinks):
            for got in sink.messages:
                self.assertTrue(all(int(address.split("@d")[1].split(".")[0]) % 4 == number for address in got.recipients))

    def test_recipients_above_the_limit_get_452_and_the_others_their_mail(self):
        sink = self.sink()
        relay = self.relay({"server": {"max_recipients": 10}}, sink.next_hop)
        refused = relay.submit(recipients=self.addresses(15, 3))
        self.assertEqual({code for code, _ in refused.values()}, {452})
        self.assertEqual(len(refused), 5)
        self.check(relay, [sink], self.addresses(10, 3))


class Large(Case):
    def test_25_mib_arrive_byte_for_byte(self):
        random.seed(25)
        alphabet = bytes(range(33, 127)) + b".." + b" "
        line = bytes(random.choices(alphabet, k=76)) + b"\r\n"
        head = plain_message(subject="large", body="").encode()
        lines = []
        size = len(head)
        while size + len(line) <= 26214400 - 2048:
            if len(lines) % 1000 == 0:
                line = b"." + bytes(random.choices(alphabet, k=75)) + b"\r\n"
            lines.append(line)
            size += len(line)
        text = head + b"".join(lines)
        for store in STORES:
            with self.subTest(store=store):
                sink = self.sink()
                relay = self.relay(next_hop=sink.next_hop, store=store)
                before = relay.resident_kib()
                with relay.smtp(timeout=120) as client:
                    client.ehlo()
                    client.sendmail("alice@example.test", ["bob@example.net"], text)  # smtplib gives SIZE itself
                got = sink.wait(timeout=90, relay=relay)[0]
                self.assertTrue(got.data.endswith(text), "only header fields before it were added")
                self.assertLess(len(got.data) - len(text), 4096)
                print(f"25 MiB through {store}: resident memory {before} KiB before, {relay.resident_kib()} KiB after")
                relay.stop()


class Idle(Case):
    COUNT = 5000

    def test_5000_idle_connections(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < self.COUNT + 1000:
            skip(f"the hard limit of descriptors is {hard}, {self.COUNT + 1000} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        relay = self.relay(next_hop=self.sink().next_hop)
        descriptors = lambda: len(list(pathlib.Path(f"/proc/{relay.process.pid}/fd").iterdir()))
        memory_before, descriptors_before = relay.resident_kib(), descriptors()
        links = []
        try:
            for _ in range(self.COUNT // 50):
                batch = [socket.create_connection((relay.address, relay.port), timeout=300) for _ in range(50)]
                links += batch
                for link in batch:
                    self.assertEqual(link.recv(3), b"220")
            memory = relay.resident_kib()
            print(f"{self.COUNT} idle connections: resident memory {memory_before} KiB before, {memory} KiB with them, "
                  f"{(memory - memory_before) / self.COUNT:.1f} KiB each", flush=True)
            self.assertEqual(relay.submit(), {}, "others are served meanwhile")
            self.assertGreaterEqual(relay.metric("hedwig_connections"), self.COUNT)
            self.assertLess((memory - memory_before) / self.COUNT, 64, "KiB a connection")
        finally:
            for link in links:
                link.close()
        wait_for(lambda: descriptors() <= descriptors_before + 8, 30, lambda: f"{descriptors()} descriptors to go back to {descriptors_before}")
        self.assertEqual(relay.submit(), {})


if __name__ == "__main__":
    main()
