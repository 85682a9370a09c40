# SPDX-License-Identifier: Apache-2.0
"""auth-sql through the whole relay: users in SQLite and in a PostgreSQL server of the test's own, in the relay and apart."""
import pathlib
import re
import signal
import smtplib
import sqlite3
import subprocess
import tomllib

from hedwig_harness import (ROOT, Case, free_port, host, listening, main, make_certificate, plain_message, tool, trusting, wait_for)
from sql_test import Postgresql

PAGE = (ROOT / "docs/plugins/auth-sql.md").read_text()
SCHEMA = re.search(r"```sql\n(.*?)```", PAGE, re.S).group(1)


class SqlUsers(Case):
    def setUp(self):
        super().setUp()
        self.certificate, self.key = make_certificate(self.folder, addresses=[host()])
        done = subprocess.run([tool("openssl", "openssl"), "passwd", "-6", "love-lace"], capture_output=True, text=True, check=True)
        self.rows = [SCHEMA,
                     "INSERT INTO mail_user (id, name, password, messages_per_hour) "
                     f"VALUES (1, 'ada', '{done.stdout.strip()}', 2);",
                     "INSERT INTO mail_group VALUES (1, 'staff');",
                     "INSERT INTO mail_sender VALUES (1, 'ada@example.test');"]

    def relay_with(self, settings, isolation):
        example = tomllib.loads(re.search(r"```toml\n(.*?)```", PAGE, re.S).group(1))["auth"][0]
        auth = {**{key: value for key, value in example.items() if key not in ("connector", "connection", "password")},
                **settings, "isolation": isolation, "retry_delay": "100ms", "cache_time": "0s", "negative_cache_time": "0s"}
        self.next_hop = self.sink()
        relay = self.relay(next_hop=self.next_hop.next_hop, start=False)
        self.port = free_port()
        self.config = {
            "auth": [auth],
            "filters": [{"use": "headers", "rule": [{"action": "add", "field": "X-Staff", "value": "{identity}",
                                                     "groups": ["staff"]}]}],
            "server": {"listeners": [
                {"addr": f"{host()}:{relay.port}", "relay_from": []},
                {"addr": f"{host()}:{self.port}", "relay_from": [],
                 "tls": {"mode": "implicit", "cert_path": self.certificate, "key_path": self.key}}]}}
        relay.write_config(self.config)
        relay.start()
        wait_for(lambda: listening(host(), self.port), 30, relay.log_tail)
        return relay

    def client(self):
        return smtplib.SMTP_SSL(host(), self.port, context=trusting(self.certificate), timeout=240)

    def login(self, user, password):
        with self.client() as client:
            try:
                client.login(user, password)
                return 235
            except smtplib.SMTPAuthenticationError as refused:
                return refused.smtp_code

    def look_at_rights(self, relay):
        with self.client() as client:
            client.login("ada", "love-lace")
            self.assertEqual(client.mail("eve@example.test")[0], 553)
            client.rset()
            for _ in range(2):
                client.sendmail("ada@example.test", ["bob@example.net"], plain_message("ada@example.test"))
            with self.assertRaises(smtplib.SMTPException) as limited:
                client.sendmail("ada@example.test", ["bob@example.net"], plain_message("ada@example.test"))
            self.assertIn("450", str(limited.exception))
        self.assertEqual([one.message["X-Staff"] for one in self.next_hop.wait(2, relay=relay)], ["ada", "ada"])
        self.assertEqual([self.login(*who) for who in (("ada", "wrong"), ("eve", "love-lace"), ("' OR '1'='1", "x"))], [535] * 3)

    def test_users_of_a_sqlite_file(self):
        file = pathlib.Path(self.folder) / "users.db"
        with sqlite3.connect(file) as users:
            users.executescript("\n".join(self.rows))
        relay = self.relay_with({"connector": "sqlite", "connection": str(file)}, "none")
        self.look_at_rights(relay)
        file.rename(file.with_suffix(".moved"))
        self.config["auth"][0]["connection"] = str(file.with_suffix(".moved"))
        relay.write_config(self.config)
        relay.signal(signal.SIGHUP)
        wait_for(lambda: [one for one in relay.events() if one.get("event") == "config.reloaded"], 30, relay.log_tail)
        self.assertEqual(self.login("ada", "love-lace"), 235)

    def test_users_of_a_server_that_goes_and_comes_back_asked_from_a_process_apart(self):
        server = Postgresql()
        self.addCleanup(server.close)
        password = (server.folder / "password").read_text().strip()
        where = f"host={server.folder} dbname=postgres user=hedwig"
        subprocess.run([server.programs / "psql", "-q", f"{where} password={password}", "-v", "ON_ERROR_STOP=1"],
                       input="\n".join(self.rows), text=True, check=True)
        relay = self.relay_with({"connector": "postgresql", "connection": where,
                                 "password": {"file": str(server.folder / "password")}}, "process")
        self.look_at_rights(relay)
        server.stop("immediate")
        self.assertEqual([self.login(*who) for who in (("ada", "love-lace"), ("ada", "wrong"), ("eve", "x"))], [454] * 3)
        server.start()
        wait_for(lambda: self.login("ada", "love-lace") == 235, 60, relay.log_tail)
        self.assertNotIn(password, relay.log_tail())


if __name__ == "__main__":
    main()
