# SPDX-License-Identifier: Apache-2.0
"""SCRAM among real clients: gsasl over STARTTLS and TLS, with and without channel binding; and what nobody may see of it."""
import base64
import hashlib
import hmac
import pathlib
import smtplib
import ssl
import subprocess
import time

from hedwig_harness import Case, free_port, host, listening, main, make_certificate, tool, trusting, wait_for

USER, PASSWORD = "alice", "pencil=,case"
MECHANISMS = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"]


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def keys_of(password, salt, iterations):
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return client_key, hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", "sha256")


def rfc5803(password, salt=b"0123456789abcdef", iterations=8192):
    _, stored, server = keys_of(password, salt, iterations)
    return f"SCRAM-SHA-256${iterations}:{b64(salt)}${b64(stored)}:{b64(server)}"


class SaslRelay(Case):
    def scram_relay(self, users, mechanisms=tuple(MECHANISMS), listener=None, **server):
        self.certificate, key = make_certificate(self.folder, addresses=[host()])
        self.port, self.implicit = free_port(), free_port()
        tls = {"cert_path": self.certificate, "key_path": key}
        both = {"require_auth": True, "relay_from": [], **(listener or {})} | ({"auth_mechanisms": list(mechanisms)} if mechanisms else {})
        relay = self.relay(next_hop=self.sink().next_hop, start=False)
        relay.port = self.port
        relay.write_config({"server": {
            "auth_failure_delay": "0s", **server,
            "auth": [{"username": name, "password": password} for name, password in users.items()],
            "listeners": [{"addr": f"{host()}:{self.port}", "tls": {**tls, "mode": "starttls"}, **both},
                          {"addr": f"{host()}:{self.implicit}", "tls": {**tls, "mode": "implicit"}, **both}]}})
        relay.start()
        wait_for(lambda: listening(host(), self.implicit), 60, relay.log_tail)
        return relay

    def gsasl(self, *options, user=USER, password=PASSWORD):
        command = [tool("gsasl", "gsasl"), "--smtp", "--connect", f"{host()}:{self.port}", "-a", user, "-p", password,
                   "--starttls", "--x509-ca-file", self.certificate, "--hostname", "relay.example.test",
                   "--service", "smtp", "--verbose", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)

    def client(self, version=None):
        context = trusting(self.certificate)
        context.check_hostname = False
        if version:
            context.maximum_version = version
        client = smtplib.SMTP_SSL(host(), self.implicit, timeout=240, context=context)
        self.addCleanup(client.close)
        client.ehlo()
        return client

    def first(self, client, user, mechanism="SCRAM-SHA-256", flag="n"):
        """The server's first message, and the fields of it."""
        code, text = client.docmd("AUTH", f"{mechanism} {b64(f'{flag},,n={user},r=clientnonce')}")
        self.assertEqual(code, 334, text)
        message = base64.b64decode(text).decode()
        return message, dict(field.split("=", 1) for field in message.split(","))

    def final(self, client, user, password, mechanism="SCRAM-SHA-256", flag="n", binding=b""):
        """The reply to the proof, and whether the server has proved itself."""
        message, fields = self.first(client, user, mechanism, flag)
        client_key, stored, server = keys_of(password, base64.b64decode(fields["s"]), int(fields["i"]))
        without_proof = f"c={b64(f'{flag},,'.encode() + binding)},r={fields['r']}"
        text = f"n={user},r=clientnonce,{message},{without_proof}".encode()
        proof = bytes(a ^ b for a, b in zip(client_key, hmac.digest(stored, text, "sha256")))
        code, reply = client.docmd(b64(f"{without_proof},p={b64(proof)}"))
        if code != 334:
            return code, reply, False
        proved = base64.b64decode(reply) == b"v=" + b64(hmac.digest(server, text, "sha256")).encode()
        code, reply = client.docmd("")
        return code, reply, proved


class Scram(SaslRelay):
    def test_gsasl_logs_in_with_every_kind_of_secret(self):
        made = subprocess.run([tool("gsasl", "gsasl"), "--mkpasswd", "-m", "SCRAM-SHA-256", "-p", PASSWORD,
                               "--iteration-count", "4096"], capture_output=True, text=True, check=True).stdout.strip()
        self.assertTrue(made.startswith("{SCRAM-SHA-256}4096,"), made)
        relay = self.scram_relay({"alice": PASSWORD, "bob": rfc5803(PASSWORD), "carol": made})
        for user in ("alice", "bob", "carol"):
            for mechanism, more in (("SCRAM-SHA-256", ["--no-cb"]), ("SCRAM-SHA-256-PLUS", []), ("PLAIN", [])):
                with self.subTest(user=user, mechanism=mechanism):
                    done = self.gsasl("-m", mechanism, *more, user=user)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                    self.assertIn("235 2.7.0", done.stdout + done.stderr)
        self.assertEqual(relay.metrics()['hedwig_auth_attempts_total{mechanism="SCRAM-SHA-256-PLUS",result="success"}'], 3)

    def test_gsasl_is_refused_with_a_wrong_password(self):
        self.scram_relay({"alice": PASSWORD})
        for mechanism in ("SCRAM-SHA-256-PLUS", "PLAIN"):
            done = self.gsasl("-m", mechanism, password="wrong")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("535 5.7.8", done.stdout + done.stderr)

    def test_channel_binding_by_the_certificate(self):
        self.scram_relay({"alice": PASSWORD})
        der = ssl.PEM_cert_to_DER_cert(pathlib.Path(self.certificate).read_text())
        client = self.client()
        plus = dict(mechanism="SCRAM-SHA-256-PLUS", flag="p=tls-server-end-point")
        self.assertEqual(self.final(client, "alice", PASSWORD, binding=b"x" * 32, **plus)[0], 535)
        self.assertEqual(self.final(client, "alice", PASSWORD, binding=hashlib.sha256(der).digest(), **plus)[::2],
                         (235, True))

    def test_under_tls_1_2_no_channel_binding_is_offered(self):
        self.scram_relay({"alice": PASSWORD})
        client = self.client(ssl.TLSVersion.TLSv1_2)
        self.assertEqual(client.esmtp_features["auth"].split(), ["SCRAM-SHA-256", "PLAIN"])
        self.assertEqual(self.final(client, "alice", PASSWORD, flag="y")[::2], (235, True))
        done = self.gsasl("-m", "SCRAM-SHA-256", "--no-cb", "--priority", "NORMAL:-VERS-TLS1.3")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_client_that_was_lied_to_about_the_offer_is_refused(self):
        relay = self.scram_relay({"alice": PASSWORD})
        client = self.client()
        self.assertIn("SCRAM-SHA-256-PLUS", client.esmtp_features["auth"])
        self.assertEqual(client.docmd("AUTH", f"SCRAM-SHA-256 {b64('y,,n=alice,r=clientnonce')}")[0], 535)
        denied = wait_for(lambda: [event for event in relay.events() if event["event"] == "auth.denied"], 60, relay.log_tail)
        self.assertIn("-PLUS", denied[0]["reason"])

    def test_without_plus_in_the_offer_that_client_is_welcome(self):
        self.scram_relay({"alice": PASSWORD}, ["SCRAM-SHA-256"])
        self.assertEqual(self.final(self.client(), "alice", PASSWORD, flag="y")[::2], (235, True))

    def test_unknown_users_look_like_known_ones(self):
        self.scram_relay({"alice": PASSWORD, "bob": "another"})
        client = self.client()
        self.assertEqual(self.final(client, "alice", "wrong")[:2], (535, b"5.7.8 Authentication credentials invalid"))
        self.assertEqual(self.final(client, "nobody", "wrong")[:2], (535, b"5.7.8 Authentication credentials invalid"))
        seen = {}
        for _ in range(2):
            client = self.client()
            for user in ("alice", "bob", "nobody", "noone"):
                _, fields = self.first(client, user)
                client.docmd("*")
                seen.setdefault(user, []).append((fields["s"], fields["i"]))
        for user, both in seen.items():
            self.assertEqual(both[0], both[1], f"the salt of {user} changed")
        self.assertEqual(len({salt for both in seen.values() for salt, _ in both}), 4)
        self.assertEqual({(len(salt), count) for both in seen.values() for salt, count in both}, {(24, "4096")})

    def test_scram_is_not_offered_unless_asked_for(self):
        self.scram_relay({"alice": PASSWORD}, mechanisms=None)
        self.assertEqual(self.client().esmtp_features["auth"].split(), ["PLAIN", "LOGIN"])


class Lockout(SaslRelay):
    def plain(self, client, user, password):
        return client.docmd("AUTH", f"PLAIN {b64(f'{chr(0)}{user}{chr(0)}{password}')}")

    def test_an_address_with_too_many_failures_is_locked_out(self):
        relay = self.scram_relay({"alice": PASSWORD}, auth_failures_per_address=3, max_auth_failures=100, auth_lockout="1h")
        client = self.client()
        for user in ("alice", "bob", "carol"):
            self.assertEqual(self.plain(client, user, "wrong")[0], 535)
        self.assertEqual(self.plain(client, "alice", PASSWORD),
                         (421, b"4.7.0 Too many failed authentications, try again later"))
        with self.assertRaises(smtplib.SMTPServerDisconnected):
            client.noop()
        self.assertEqual(self.client().docmd("AUTH", f"SCRAM-SHA-256 {b64('n,,n=alice,r=clientnonce')}")[0], 421)
        locked = wait_for(lambda: [event for event in relay.events() if event["event"] == "auth.locked"], 60, relay.log_tail)
        self.assertEqual([(event["what"], event["for_ms"]) for event in locked], [("address", 3_600_000)])
        metrics = relay.metrics()
        self.assertEqual(metrics['hedwig_auth_attempts_total{mechanism="PLAIN",result="locked"}'], 1)
        self.assertEqual(metrics['hedwig_limit_hits_total{limit="server.auth_failures_per_address"}'], 2)

    def test_a_user_is_locked_out_but_not_from_where_he_logged_in(self):
        self.scram_relay({"alice": PASSWORD, "bob": PASSWORD}, auth_failures_per_user=2, max_auth_failures=100,
                         auth_failures_per_address=0, auth_lockout="1h", listener={"relay_from": [f"{host()}/32"]})
        self.assertEqual(self.plain(self.client(), "alice", PASSWORD)[0], 235)
        client = self.client()
        for user in ("alice", "bob", "nobody"):
            for _ in range(2):
                self.assertEqual(self.plain(client, user, "wrong")[0], 535)
        self.assertEqual(self.plain(client, "alice", PASSWORD)[0], 235, "he was here before")
        for user in ("bob", "nobody"):
            self.assertEqual(self.plain(self.client(), user, PASSWORD)[0], 421, user)

    def test_trusted_networks_are_not_locked_out(self):
        self.scram_relay({"alice": PASSWORD}, auth_failures_per_address=2, max_auth_failures=100,
                         listener={"relay_from": ["127.0.0.0/8"]})
        client = self.client()
        for number in range(5):
            self.assertEqual(self.plain(client, f"user{number}", "wrong")[0], 535)
        self.assertEqual(self.plain(client, "alice", PASSWORD)[0], 235)

    def test_a_failure_costs_time_and_nobody_else_waits(self):
        relay = self.scram_relay({"alice": PASSWORD}, auth_failure_delay="1m", auth_failures_per_address=0)
        waiting = self.client()
        waiting.putcmd("AUTH", f"PLAIN {b64(f'{chr(0)}alice{chr(0)}wrong')}")
        wait_for(lambda: "auth.denied" in relay.log_text(), 60, relay.log_tail)
        self.assertEqual(self.plain(self.client(), "alice", PASSWORD)[0], 235)
        waiting.sock.settimeout(0.2)
        with self.assertRaises((TimeoutError, smtplib.SMTPServerDisconnected)):
            waiting.getreply()


class SecondFactor(SaslRelay):
    """The code of an authenticator behind the password, as RFC 6238 has it."""
    SECRET = b"12345678901234567890"

    def code(self, step):
        digest = hmac.digest(self.SECRET, step.to_bytes(8, "big"), "sha1")
        number = int.from_bytes(digest[digest[-1] & 15:][:4], "big") & 0x7FFFFFFF
        return f"{number % 1000000:06}"

    def test_the_code_is_needed_good_once_and_no_use_without_the_password(self):
        users = {USER: PASSWORD}
        relay = self.scram_relay(users, ["SCRAM-SHA-256", "PLAIN", "LOGIN"], max_auth_failures=1000)
        relay.stop()
        relay.write_config({"server": {"auth": None}, "auth": [{"use": "static", "user": [
            {"username": USER, "password": PASSWORD, "totp": base64.b32encode(self.SECRET).decode().lower()},
            {"username": "plain", "password": PASSWORD}]}]})
        relay.start()
        wait_for(lambda: listening(host(), self.implicit), 60, relay.log_tail)

        def code_of(client, user, password):
            return client.docmd("AUTH", "PLAIN " + b64(f"\0{user}\0{password}"))[0]

        client = self.client()
        now = int(time.time()) // 30
        self.assertEqual(code_of(client, USER, PASSWORD), 535)
        self.assertEqual(code_of(client, USER, "wrong" + self.code(now)), 535)
        self.assertEqual(code_of(client, USER, self.code(now)), 535)
        self.assertEqual(code_of(client, USER, PASSWORD + self.code(now - 5)), 535)
        self.assertEqual(code_of(client, "plain", PASSWORD + self.code(now)), 535)
        self.assertEqual(self.first(client, USER)[0].partition(",i=")[2], "4096", "as of somebody who is not there")
        client.docmd("*")
        # One that is good for at least a step, whatever the time of this line is.
        right = self.code(int(time.time()) // 30 + 1)
        self.assertEqual(code_of(client, USER, PASSWORD + right), 235)
        client = self.client()
        self.assertEqual(code_of(client, USER, PASSWORD + right), 535, "each is good once")
        self.assertEqual(code_of(client, "plain", PASSWORD), 235)
        self.assertNotIn(right, relay.log_text())
        self.assertNotIn(base64.b32encode(self.SECRET).decode().lower(), relay.log_text().lower())


if __name__ == "__main__":
    main()
