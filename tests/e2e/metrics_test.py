# SPDX-License-Identifier: Apache-2.0
"""What GET /metrics says, after traffic whose every number is known."""
import re
import smtplib

from hedwig_harness import ROOT, Case, free_port, host, listening, main, make_certificate, plain_message, trusting, wait_for

USER, PASSWORD = "alice", "correct horse"
# The names, types and labels that dashboards made for Hedwig 0.10 read.
KEPT = """
hedwig_queue_depth gauge
hedwig_retry_attempts_total counter
hedwig_connection_pool_entries gauge
hedwig_dkim_signing_latency_seconds histogram
hedwig_emails_received_total counter
hedwig_emails_sent_total counter
hedwig_emails_deferred_total counter
hedwig_emails_bounced_total counter
hedwig_emails_dropped_total counter
hedwig_worker_jobs_processed_total counter
hedwig_worker_job_duration_seconds histogram
hedwig_send_latency_seconds histogram domain
hedwig_send_attempts_total counter domain status
hedwig_mta_sts_policy_fetch_total counter result
hedwig_mta_sts_enforcement_total counter mode result
hedwig_mta_sts_cache_size gauge
logqueue_append_duration_seconds histogram shard
logqueue_pending_append_bytes gauge
logqueue_records_appended_total counter shard
logqueue_bytes_appended_total counter shard
logqueue_append_errors_total counter shard
logqueue_active_segment_bytes gauge shard
logqueue_segment_rotations_total counter shard
logqueue_ready_jobs gauge
logqueue_deferred_jobs gauge
logqueue_inflight_jobs gauge
logqueue_dispatcher_lag_bytes gauge shard
logqueue_oldest_ready_age_seconds gauge
logqueue_oldest_deferred_age_seconds gauge
logqueue_live_bytes gauge
logqueue_dead_bytes gauge
logqueue_sealed_segments gauge
logqueue_segments_deleted_total counter
logqueue_compactions_total counter outcome
logqueue_compaction_bytes_total counter direction
logqueue_relocations_total counter
logqueue_disk_free_bytes gauge
"""
# The store is asked what it holds every 5 seconds.
STOCK = 20

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')


def parse(text):
    """Every line of the text format 0.0.4: (types by name, values by (sample name, labels)). Raises at any other line."""
    if not text.endswith("\n"):
        raise AssertionError("the last line is cut off")
    types, helps, values, current = {}, set(), {}, None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# HELP "):
            current = line.split(" ", 3)[2]
            if current in helps or not line.split(" ", 3)[3]:
                raise AssertionError(f"line {number}: a second or empty help: {line}")
            helps.add(current)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            if name != current or name in types or kind not in ("counter", "gauge", "histogram"):
                raise AssertionError(f"line {number}: {line}")
            types[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            if not match:
                raise AssertionError(f"line {number} is no sample: {line}")
            name, labels, value = match.groups()
            family = name if types.get(name) else re.sub(r"_(bucket|sum|count)$", "", name)
            if family != current or (family != name) != (types[family] == "histogram"):
                raise AssertionError(f"line {number} does not belong to {current}: {line}")
            key = (name, tuple(sorted(LABEL.findall(labels or ""))))
            if key in values:
                raise AssertionError(f"line {number} comes twice: {line}")
            values[key] = float(value)
    return types, values


class Metrics(Case):
    def setUp(self):
        super().setUp()

        def on_rcpt(address, _):
            return {"later": "451 4.2.1 not now", "nobody": "550 5.1.1 no such user"}.get(address.partition("@")[0])

        self.next_hop = self.sink(on_rcpt=on_rcpt)
        self.certificate, key = make_certificate(self.folder, addresses=[host()])
        self.tls_port = free_port()
        self.box = self.relay(next_hop=self.next_hop.next_hop, start=False)
        clear = {"name": "clear", "addr": f"{host()}:{self.box.port}", "relay_from": ["127.0.0.0/8"]}
        tls = {"name": "tls", "addr": f"{host()}:{self.tls_port}", "relay_from": [],
               "tls": {"cert_path": self.certificate, "key_path": key, "mode": "starttls"}}
        self.box.write_config({"server": {"auth": [{"username": USER, "password": PASSWORD}], "listeners": [clear, tls]}})
        self.box.start()
        wait_for(lambda: listening(self.box.address, self.box.metrics_port), 20, "the port of the metrics")

    def scrape(self):
        status, text = self.box.http("/metrics", self.box.metrics_port)
        self.assertEqual(status, 200)
        self.types, self.values = parse(text)
        return self.values

    def value(self, name, **labels):
        """0 for a series that does not exist."""
        return self.values.get((name, tuple(sorted(labels.items()))), 0)

    def wait_value(self, wanted, name, timeout=20, **labels):
        def there():
            self.scrape()
            return self.value(name, **labels) == wanted

        wait_for(there, timeout, lambda: f"{name}{labels} to be {wanted}, not {self.value(name, **labels)}", 0.1)

    def traffic(self):
        """Two delivered, one deferred, one bounced with its notification, all in the clear; over TLS a wrong password, a
        right one and a third delivered; a stranger's recipient refused."""
        for recipient in ("bob@example.net", "carol@example.net", "later@example.org", "nobody@example.org"):
            self.assertEqual(self.box.submit(recipients=[recipient]), {})
        with self.box.smtp(self.tls_port) as client:
            client.starttls(context=trusting(self.certificate))
            client.ehlo()
            with self.assertRaises(smtplib.SMTPAuthenticationError):
                client.login(USER, "wrong")
        with self.box.smtp(self.tls_port) as client:
            client.starttls(context=trusting(self.certificate))
            client.login(USER, PASSWORD)
            client.sendmail("alice@example.test", ["dave@example.net"], plain_message())
        with self.box.smtp(self.tls_port) as client:
            client.ehlo()
            client.mail("stranger@example.org")
            self.assertEqual(client.rcpt("bob@example.net")[0], 550)
        # bob, carol, dave, and the notification about nobody
        self.next_hop.wait(4, relay=self.box)

    def test_every_number_is_that_of_the_traffic(self):
        # The greetings that start() waited for.
        wait_for(lambda: self.scrape() is not None and self.value("hedwig_connections", listener="clear") == 0, 20,
                 "the first session to end")
        greeted = self.value("hedwig_connections_accepted_total", listener="clear")
        before_220 = self.value("hedwig_smtp_replies_total", code="220")
        calls_before = self.value("hedwig_provider_calls_total", provider="auth.static", status="ok")
        self.traffic()
        self.wait_value(4, "hedwig_emails_sent_total")
        self.wait_value(1, "hedwig_queue_depth", STOCK)
        self.wait_value(1, "logqueue_deferred_jobs", STOCK)
        self.wait_value(0, "hedwig_active_messages")
        self.wait_value(0, "hedwig_connections", listener="clear")
        self.wait_value(0, "hedwig_connections", listener="tls")
        expected = {
            # five from clients, and what was made of them; the notification is counted where it is stored
            ("hedwig_emails_received_total",): 5,
            ("hedwig_recipients_accepted_total",): 5,
            ("hedwig_accept_seconds_count",): 5,
            ("hedwig_emails_deferred_total",): 1,
            ("hedwig_emails_bounced_total",): 1,
            ("hedwig_emails_dropped_total",): 0,
            ("hedwig_outcomes_unknown_total",): 0,
            ("hedwig_retry_attempts_total",): 0,
            ("hedwig_worker_jobs_processed_total",): 6,
            ("hedwig_worker_job_duration_seconds_count",): 6,
            ("hedwig_send_attempts_total", "domain", "example.net", "status", "success"): 3,
            ("hedwig_send_attempts_total", "domain", "example.test", "status", "success"): 1,
            ("hedwig_send_attempts_total", "domain", "example.org", "status", "deferred"): 1,
            ("hedwig_send_attempts_total", "domain", "example.org", "status", "failure"): 1,
            ("hedwig_send_latency_seconds_count", "domain", "example.net"): 3,
            ("hedwig_send_latency_seconds_count", "domain", "example.org"): 2,
            ("hedwig_dsn_total", "kind", "failed"): 1,
            ("logqueue_records_appended_total", "shard", "0"): 6,
            ("logqueue_append_duration_seconds_count", "shard", "0"): 6,
            ("logqueue_append_errors_total", "shard", "0"): 0,
            ("logqueue_pending_append_bytes",): 0,
            ("logqueue_ready_jobs",): 0,
            ("logqueue_inflight_jobs",): 0,
            ("logqueue_oldest_ready_age_seconds",): 0,
            ("logqueue_oldest_deferred_age_seconds",): 0,
            ("hedwig_retry_window",): 1,
            ("hedwig_connections_accepted_total", "listener", "clear"): greeted + 4,
            ("hedwig_connections_accepted_total", "listener", "tls"): 3,
            ("hedwig_messages_refused_total", "reason", "relay"): 1,
            ("hedwig_smtp_refusals_total", "reason", "relay"): 1,
            ("hedwig_smtp_refusals_total", "reason", "auth_failed"): 2,
            ("hedwig_smtp_refusals_total", "reason", "other"): 0,
            ("hedwig_tls_handshakes_total", "direction", "in", "result", "success"): 2,
            ("hedwig_tls_handshakes_total", "direction", "in", "result", "failed"): 0,
            # smtplib tries each mechanism that it knows until one is taken
            ("hedwig_auth_attempts_total", "mechanism", "PLAIN", "result", "success"): 1,
            ("hedwig_smtp_replies_total", "code", "235"): 1,
            ("hedwig_smtp_replies_total", "code", "354"): 5,
            ("hedwig_smtp_replies_total", "code", "550"): 1,
            # a greeting a session, and one for each STARTTLS
            ("hedwig_smtp_replies_total", "code", "220"): before_220 + 4 + 3 + 2,
            ("hedwig_destinations",): 1,
            ("hedwig_destinations_resting",): 0,
            ("hedwig_ready",): 1,
            ("hedwig_paused",): 0,
            ("hedwig_build_info", "version", self.version()): 1,
            ("hedwig_actors", "actor", "spooler"): 1,
            ("hedwig_actors", "actor", "listener"): 2,
            ("hedwig_actors", "actor", "session"): 0,
            ("hedwig_log_lines_dropped_total",): 0,
            ("hedwig_provider_calls_pending", "provider", "auth.static"): 0,
        }
        got = {key: self.value(key[0], **dict(zip(key[1::2], key[2::2]))) for key in expected}
        self.assertEqual(got, expected)
        denied = self.values[("hedwig_smtp_replies_total", (("code", "535"),))]
        self.assertGreaterEqual(denied, 1)
        self.assertEqual(sum(value for (name, labels), value in self.values.items()
                             if name == "hedwig_auth_attempts_total" and ("result", "denied") in labels), denied)
        self.assertEqual(self.value("hedwig_provider_calls_total", provider="auth.static", status="ok"),
                         calls_before + denied + 1)
        received = self.value("hedwig_received_bytes_total")
        self.assertGreater(self.value("logqueue_bytes_appended_total", shard="0"), received, "the notification is on top")
        self.assertTrue(0 < self.value("logqueue_live_bytes") < received)
        for name in ("logqueue_disk_free_bytes", "hedwig_resident_memory_bytes", "hedwig_open_descriptors"):
            self.assertGreater(self.value(name), 1, name)
        self.assertGreaterEqual(self.value("hedwig_commit_group_size_count"), 6)
        self.assertGreaterEqual(self.value("hedwig_connection_pool_entries"), 0)

    def version(self):
        return re.search(r"project\(\s*\w+\s+VERSION\s+([0-9.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)

    def test_sessions_and_failed_handshakes_are_counted_while_they_last(self):
        with self.box.smtp(self.tls_port) as first, self.box.smtp(self.tls_port) as second:
            first.ehlo()
            second.ehlo()
            self.wait_value(2, "hedwig_connections", listener="tls")
            self.assertEqual(self.value("hedwig_actors", actor="session"), 2)
            self.assertEqual(second.docmd("STARTTLS")[0], 220)
            second.sock.sendall(b"this is no TLS\r\n")
            self.wait_value(1, "hedwig_tls_handshakes_total", direction="in", result="failed")
            self.wait_value(1, "hedwig_connections", listener="tls")
            second.close()

    def test_every_name_of_hedwig_0_10_is_there_with_its_type_and_labels(self):
        self.traffic()
        self.wait_value(4, "hedwig_emails_sent_total")
        for line in KEPT.split("\n")[1:-1]:
            name, kind, *labels = line.split(" ")
            with self.subTest(name=name):
                self.assertEqual(self.types.get(name), kind)
                samples = [found for sample, found in self.values if re.sub(r"_(bucket|sum|count)$", "", sample) == name or sample == name]
                self.assertTrue(samples, "it has a sample")
                for found in samples:
                    self.assertEqual(sorted(label for label, _ in found if label != "le"), sorted(labels))

    def test_what_is_scraped_is_what_the_manual_lists(self):
        self.scrape()
        listed = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs" / "metrics.md").read_text(), re.M))
        self.assertEqual(self.types, listed)

    def test_histograms_are_cumulative(self):
        self.traffic()
        self.wait_value(4, "hedwig_emails_sent_total")
        series = {}
        for (name, labels), value in self.values.items():
            if name.endswith("_bucket"):
                bound = dict(labels)["le"]
                rest = tuple(label for label in labels if label[0] != "le")
                series.setdefault((name[:-7], rest), []).append((float(bound.replace("+Inf", "inf")), value))
        self.assertIn(("hedwig_accept_seconds", ()), series)
        for (name, labels), buckets in series.items():
            with self.subTest(name=name, labels=labels):
                counts = [value for _, value in sorted(buckets)]
                self.assertEqual(counts, sorted(counts))
                self.assertEqual(counts[-1], self.values[(name + "_count", labels)])


if __name__ == "__main__":
    main()
