# SPDX-License-Identifier: Apache-2.0
"""Postfix's generator and sink with the relay between them: 20,000 messages over 50 connections, none lost."""
from hedwig_harness import Case, SmtpSink, load, main, wait_for


class Volume(Case):
    def through(self, store, messages, connections):
        sink = self.opened(SmtpSink(self.path("sink-").parent))
        # Every line of the log counts here; with the usual queue, lines are dropped rather than the relay slowed down.
        relay = self.relay({"log": {"queue_size": 65536}}, sink.next_hop, store=store)
        seconds = load(relay.address, relay.port, messages, connections, extra=["-N"])
        wait_for(lambda: sink.count() >= messages, 240, lambda: f"{sink.count()} of {messages} at the sink\n{relay.log_tail(30)}", 0.1)
        wait_for(lambda: relay.queue() == [], 60, relay.log_tail)
        delivered = {event["recipient"] for event in relay.deliveries(status="delivered")}
        self.assertEqual(len(delivered), messages, "each recipient, which smtp-source numbers, was delivered")
        self.assertEqual(sink.count(), messages, "and once only")
        self.assertEqual(relay.metric("hedwig_emails_received_total"), messages)
        print(f"{store}: {messages} messages over {connections} connections acknowledged in {seconds:.1f} s "
              f"({messages / seconds:.0f}/s), {sink.count()} at the sink", flush=True)

    def test_20000_messages_over_50_connections_with_rocksdb(self):
        self.through("rocksdb", 20000, 50)

    def test_5000_messages_over_50_connections_with_files(self):
        self.through("fs", 5000, 50)


if __name__ == "__main__":
    main()
