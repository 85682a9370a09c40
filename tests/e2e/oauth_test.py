# SPDX-License-Identifier: Apache-2.0
"""auth-oauth in the relay: tokens of every algorithm, tokens that must not do, keys that change, servers that are down."""
import base64
import hashlib
import hmac
import json
import smtplib
import subprocess
import time

from cryptography.hazmat.primitives import serialization

from hedwig_harness import (Case, free_port, host, listening, main, make_certificate, plain_message, tool, trusting,
                            wait_for)
from oauth_issuer import AUDIENCE, ISSUER, Issuer, Key, b64url, form, unsigned

KEYS = {name: Key(name, f"key of {name}") for name in ("RS256", "PS256", "ES256", "EdDSA")}
JWKS = [key.jwk() for key in KEYS.values()]


def oauthbearer(token, user="alice"):
    return f"n,{'a=' + user if user else ''},\1host={host()}\1port=465\1auth=Bearer {token}\1\1"


def xoauth2(token, user="alice"):
    return f"user={user}\1auth=Bearer {token}\1\1"


class Oauth(Case):
    def setUp(self):
        super().setUp()
        self.next_hop = self.sink()
        self.certificate, self.key = make_certificate(self.folder, addresses=[host(), host(5)])
        self.issuer = Issuer(host(5), free_port(host(5)), self.certificate, self.key)
        self.addCleanup(self.issuer.close)
        self.issuer.publish(*JWKS)

    def oauth_relay(self, listener=None, **settings):
        self.port = free_port()
        relay = self.relay(next_hop=self.next_hop.next_hop, start=False)
        self.settings = {"use": "oauth", "ca_file": self.certificate, "refresh_pause": "10ms", **settings}
        if "introspection_url" not in settings:
            self.settings = {"issuer": ISSUER, "audience": [AUDIENCE], "required_scopes": ["mail.send"]} | self.settings
            if "jwks_file" not in settings:
                self.settings.setdefault("jwks_url", self.issuer.url("/jwks"))
        relay.write_config({"auth": [self.settings], "server": {"max_auth_failures": 100, "auth_failure_delay": "0s",
                                                               "policies": [{"connections": 0, "connections_per_minute": 0}],
                                                               "auth_failures_per_address": 0, "listeners": [
            {"addr": f"{host()}:{relay.port}", "relay_from": []},
            {"addr": f"{host()}:{self.port}", "relay_from": [],
             "tls": {"cert_path": self.certificate, "key_path": self.key, "mode": "implicit"}, **(listener or {})}]}})
        relay.start()
        wait_for(lambda: listening(host(), self.port), 60, relay.log_tail)
        return relay

    def client(self):
        context = trusting(self.certificate)
        context.check_hostname = False
        client = smtplib.SMTP_SSL(host(), self.port, timeout=240, context=context)
        self.addCleanup(client.close)
        client.ehlo("client.example.test")
        return client

    def login(self, message, mechanism="OAUTHBEARER", client=None):
        """The reply to an authentication with `message`: (code, text, what the 334 said)."""
        client = client or self.client()
        code, text = client.docmd("AUTH", f"{mechanism} {base64.b64encode(message.encode()).decode()}")
        told = None
        if code == 334:
            told = json.loads(base64.b64decode(text))
            code, text = client.docmd("AQ==")
        return code, text.decode(), told

    def refused(self, relay, token, reason, user="alice", client=None):
        before = len(self.refusals(relay))
        code, text, told = self.login(oauthbearer(token, user), client=client)
        self.assertEqual((code, text), (535, "5.7.8 Authentication credentials invalid"), reason)
        self.assertEqual(told, {"status": "invalid_token"})
        wait_for(lambda: len(self.refusals(relay)) > before, 60, relay.log_tail)
        self.assertIn(reason, self.refusals(relay)[-1])

    @staticmethod
    def refusals(relay):
        return [event["reason"] for event in relay.events() if event.get("text") == "a token is refused"]


class Tokens(Oauth):
    def setUp(self):
        super().setUp()
        self.issuer.start()

    def test_every_algorithm_and_both_mechanisms_log_in_and_hand_over_mail(self):
        relay = self.oauth_relay()
        client = self.client()
        self.assertEqual(client.esmtp_features["auth"].split(), ["OAUTHBEARER", "XOAUTH2"])
        for key in KEYS.values():
            self.assertEqual(self.login(oauthbearer(key.token()))[0], 235, key.algorithm)
            self.assertEqual(self.login(oauthbearer(key.token(), user=""))[0], 235, key.algorithm)
            self.assertEqual(self.login(xoauth2(key.token(), user="Alice@example.test"), "XOAUTH2")[0], 235)
        token = KEYS["ES256"].token()
        client.auth("XOAUTH2", lambda challenge=None: xoauth2(token), initial_response_ok=True)
        client.sendmail("alice@example.test", ["bob@example.net"], plain_message())
        accepted, *_ = wait_for(lambda: [event for event in relay.events() if event["event"] == "message.accepted"], 60, relay.log_tail)
        self.assertEqual(accepted["user"], "alice")

    def test_in_a_process_of_its_own_it_does_the_same(self):
        relay = self.oauth_relay(isolation="process", refresh_interval="1s")
        self.assertEqual(self.login(oauthbearer(KEYS["PS256"].token()))[0], 235)
        self.refused(relay, KEYS["ES256"].token(aud="another"), "another audience")
        wait_for(lambda: len(self.issuer.requests) >= 3, 60, "keys that are read at an interval")

    def test_curl_hands_over_mail_with_a_token(self):
        text = self.folder / "message"
        text.write_text(plain_message())
        for mechanism in ("OAUTHBEARER", "XOAUTH2"):
            relay = self.oauth_relay(listener={"auth_mechanisms": [mechanism]})
            done = subprocess.run(
                [tool("curl", "curl"), "--silent", "--show-error", "--url", f"smtps://{host()}:{self.port}", "--cacert",
                 self.certificate, "--mail-from", "alice@example.test", "--mail-rcpt", "bob@example.net", "--upload-file",
                 text, "--user", "alice:", "--oauth2-bearer", KEYS["RS256"].token()],
                capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(relay.metrics()[f'hedwig_auth_attempts_total{{mechanism="{mechanism}",result="success"}}'], 1)
        self.next_hop.wait(2, relay=relay)

    def test_tokens_that_must_not_do(self):
        relay = self.oauth_relay()
        key, now = KEYS["RS256"], int(time.time())
        client = self.client()
        good = key.token()
        head, payload, signature = good.split(".")
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 600, "scope": "mail.send"}
        changed = b64url(json.dumps(claims | {"sub": "root"}))

        def by_hmac(secret, kid=key.kid):
            text = unsigned({"alg": "HS256", "kid": kid, "typ": "JWT"}, claims).rpartition(".")[0]
            return f"{text}.{b64url(hmac.digest(secret, text.encode(), hashlib.sha256))}"

        elliptic = KEYS["ES256"]
        for reason, token in [
                ("expired", key.token(exp=now - 3600)),
                ("no end (exp)", key.token(exp=None)),
                ("not valid yet (nbf)", key.token(nbf=now + 3600)),
                ("another audience (aud)", key.token(aud="imap.example.test")),
                ("another audience (aud)", key.token(aud=None)),
                ("another audience (aud)", key.token(aud=["a", "b"])),
                ("issuer (iss)", key.token(iss="https://id.example.test")),
                ("issuer (iss)", key.token(iss=None)),
                ("lacks the scope mail.send", key.token(scope="mail.sender openid")),
                ("claim sub is no user name", key.token(sub=None)),
                ("claim sub is no user name", key.token(sub="a\nb")),
                ("algorithm", unsigned({"alg": "none", "kid": key.kid}, claims)),
                ("algorithm", unsigned({"alg": "None"}, claims)),
                ("algorithm", unsigned({"kid": key.kid}, claims)),
                ("algorithm", by_hmac(key.public())),
                ("algorithm", by_hmac(key.public(serialization.Encoding.DER))),
                ("algorithm", by_hmac(key.jwk()["n"].encode())),
                ("algorithm", key.token(algorithm="RS512")),
                ("signature is wrong", f"{head}.{changed}.{signature}"),
                ("signature is wrong", f"{head}.{payload}.{b64url(bytes(256))}"),
                ("signature is wrong", KEYS["PS256"].token(header={"kid": key.kid}, algorithm="RS256")),
                ("signature is wrong", unsigned({"alg": "ES256", "kid": elliptic.kid}, claims, bytes(64))),
                ("not signed", unsigned({"alg": "RS256", "kid": key.kid}, claims)),
                ("no key of the issuer", key.token(header={"kid": "another"})),
                ("no key of the issuer", elliptic.token(header={"kid": key.kid})),
                ("critical", key.token(header={"crit": ["b64"], "b64": True})),
                ("another type", key.token(header={"typ": "logout+jwt"})),
                ("no JSON Web Token", "opaque"),
                ("no JSON Web Token", "a.b"),
                ("no JSON Web Token", "a.b.c.d"),
                ("no JSON Web Token", f"{head}.{payload}.{signature}x.y"),
                ("no JSON Web Token", b64url("[]") + ".e30.e30"),
        ]:
            with self.subTest(reason=reason, token=token[:60]):
                self.refused(relay, token, reason, user="", client=client)
        self.refused(relay, good, "another user", user="bob", client=client)
        self.assertEqual(self.login(oauthbearer(good), client=client)[0], 235, "a good one does")
        self.assertEqual(self.login(oauthbearer(key.token(pad="x" * 5900)))[0], 501, "longer than any token")

    def test_only_the_algorithms_that_are_listed(self):
        relay = self.oauth_relay(algorithms=["ES256"])
        self.assertEqual(self.login(oauthbearer(KEYS["ES256"].token()))[0], 235)
        self.refused(relay, KEYS["RS256"].token(), "algorithm")

    def test_keys_for_another_purpose_are_left_out(self):
        self.issuer.publish(KEYS["RS256"].jwk(use="enc"), KEYS["PS256"].jwk(alg="PS256"), KEYS["ES256"].jwk(key_ops=["sign"]),
                            {"kty": "oct", "k": b64url("secret"), "kid": "hmac"}, {"kty": "RSA", "n": "AQAB", "e": "AQAB"})
        relay = self.oauth_relay()
        self.refused(relay, KEYS["RS256"].token(), "no key of the issuer")
        self.refused(relay, KEYS["ES256"].token(), "no key of the issuer")
        self.refused(relay, KEYS["PS256"].token(algorithm="RS256"), "no key of the issuer")
        self.assertEqual(self.login(oauthbearer(KEYS["PS256"].token()))[0], 235)

    def test_a_user_may_send_as_his_claims_say(self):
        self.oauth_relay(user_claim="email", sender_claims=["email", "aliases"], senders=["{local}@lists.example.test"],
                         groups_claim="groups")
        key = KEYS["EdDSA"]
        client = self.client()
        self.assertEqual(self.login(oauthbearer(key.token(aliases=["sales@example.test", "@example.org", "*"]), user=""),
                                    client=client)[0], 235)
        for sender, code in (("alice@example.test", 250), ("SALES@example.test", 250), ("alice@lists.example.test", 250),
                             ("root@example.org", 553), ("bob@example.test", 553)):
            self.assertEqual(client.mail(sender)[0], code, sender)
            client.rset()
        for claims in ({"email": "*@example.test"}, {"email": "alice", "aliases": ["*"]}):
            client = self.client()
            self.assertEqual(self.login(oauthbearer(key.token(claims), user=""), client=client)[0], 235)
            self.assertEqual(client.mail("bob@example.test")[0], 553)
        self.assertEqual(self.login(oauthbearer(key.token(), user="bob"))[0], 535)

    def test_new_keys_are_found_and_old_ones_forgotten(self):
        relay = self.oauth_relay(cache_time="1h", refresh_interval="1h")
        old, new = KEYS["RS256"], Key("RS256", "fresh")
        kept = old.token()
        self.assertEqual(self.login(oauthbearer(kept))[0], 235)
        self.issuer.publish(new.jwk())
        self.assertEqual(self.login(oauthbearer(new.token()))[0], 235, "an unknown key is looked for")
        self.refused(relay, kept, "no key of the issuer")
        reads = len(self.issuer.requests)
        for _ in range(3):
            self.assertEqual(self.login(oauthbearer(new.token()))[0], 235)
        self.assertEqual(len(self.issuer.requests), reads)

    def test_keys_are_not_asked_for_at_every_unknown_one(self):
        relay = self.oauth_relay(refresh_pause="1h")
        self.assertEqual(self.login(oauthbearer(KEYS["ES256"].token()))[0], 235)
        client = self.client()
        for number in range(5):
            self.refused(relay, KEYS["ES256"].token(header={"kid": f"made up {number}"}), "no key of the issuer",
                         client=client)
        self.assertEqual(len(self.issuer.requests), 1)

    def test_keys_are_read_at_an_interval(self):
        self.oauth_relay(refresh_interval="1s")
        wait_for(lambda: len(self.issuer.requests) >= 3, 60, "three reads of the keys")

    def test_the_cache_ends_with_the_token(self):
        relay = self.oauth_relay(cache_time="1h", leeway="0s")
        token = KEYS["ES256"].token(exp=int(time.time()) + 3)
        self.assertEqual(self.login(oauthbearer(token))[0], 235)
        wait_for(lambda: self.login(oauthbearer(token))[0] == 535, 60, "the end of the token")
        self.refused(relay, token, "expired")

    def test_a_file_of_keys_is_read_again_on_reload(self):
        path = self.folder / "keys.json"
        path.write_text(json.dumps({"keys": [KEYS["RS256"].jwk()]}))
        relay = self.oauth_relay(jwks_file=str(path), refresh_pause="1h")
        self.assertEqual(self.login(oauthbearer(KEYS["RS256"].token()))[0], 235)
        self.refused(relay, KEYS["ES256"].token(header={"kid": KEYS["RS256"].kid}), "no key of the issuer")
        path.write_text(json.dumps({"keys": [KEYS["ES256"].jwk()]}))
        relay.write_config({"auth": [self.settings | {"leeway": "31s"}]})
        relay.signal(1)
        wait_for(lambda: self.login(oauthbearer(KEYS["ES256"].token()))[0] == 235, 60, relay.log_tail)
        self.refused(relay, KEYS["RS256"].token(), "no key of the issuer")


class Outages(Oauth):
    def test_a_server_that_is_down_and_comes_and_goes(self):
        relay = self.oauth_relay()
        self.assertEqual(self.login(oauthbearer(KEYS["RS256"].token()))[:2], (454, "4.7.0 Temporary authentication failure"))
        self.issuer.start()
        wait_for(lambda: self.login(oauthbearer(KEYS["RS256"].token()))[0] == 235, 60, relay.log_tail)
        self.issuer.close()
        fresh = Key("EdDSA", "fresh")
        # For refresh_pause after the last answer a key that it had not is none.
        wait_for(lambda: self.login(oauthbearer(fresh.token()))[0] == 454, 60, relay.log_tail)
        for _ in range(12):
            self.assertEqual(self.login(oauthbearer(fresh.token()))[0], 454, "whether that is a key nobody can tell")
        self.assertEqual(self.login(oauthbearer(KEYS["PS256"].token()))[0], 235, "the keys that are known serve on")
        relay.write_config({"auth": [self.settings | {"leeway": "31s"}]})
        relay.signal(1)
        wait_for(lambda: "reload" in relay.log_text(), 60, relay.log_tail)
        self.assertEqual(self.login(oauthbearer(KEYS["ES256"].token()))[0], 235, "a reload forgets no keys")
        self.issuer.publish(fresh.jwk())
        self.issuer.start()
        wait_for(lambda: self.login(oauthbearer(fresh.token()))[0] == 235, 60, relay.log_tail)

    def test_what_is_no_key_set_is_an_outage_and_the_log_says_why(self):
        self.issuer.start()
        relay = self.oauth_relay()
        self.assertEqual(self.login(oauthbearer(KEYS["RS256"].token()))[0], 235)
        fresh = Key("EdDSA", "fresh")
        for answer, why in (((500, "{}"), "status 500"), ((302, ""), "status 302"), ((200, "<html>"), "no JSON Web Key Set"),
                            ((200, '{"keys":[]}'), "no key to check signatures with"), ((200, "x" * 300_000), "larger than"),
                            ((200, json.dumps({"keys": [fresh.jwk()] * 65})), "more than 64 keys"),
                            ((200, "[" * 100_000), "no JSON Web Key Set")):
            self.issuer.answers["/jwks"] = answer
            wait_for(lambda: self.login(oauthbearer(fresh.token()))[0] == 454 and why in relay.log_text(), 60, relay.log_tail)
            self.assertEqual(self.login(oauthbearer(KEYS["PS256"].token()))[0], 235)

    def test_nothing_is_learnt_from_a_server_with_another_name_or_authority(self):
        other, other_key = make_certificate(self.folder / ".", "other.example.test", [host(6)])
        self.issuer.certificate, self.issuer.key = other, other_key
        self.issuer.start()
        relay = self.oauth_relay()
        self.assertEqual(self.login(oauthbearer(KEYS["RS256"].token()))[0], 454)
        wait_for(lambda: "certificate" in relay.log_text(), 60, relay.log_tail)
        relay.stop()
        trusted = self.oauth_relay(ca_file=other)
        self.assertEqual(self.login(oauthbearer(KEYS["RS256"].token()))[0], 454, "its name is another")
        wait_for(lambda: "certificate subject name matches" in trusted.log_text(), 60, trusted.log_tail)


class Introspection(Oauth):
    def setUp(self):
        super().setUp()
        self.answer = {"active": True, "sub": "alice", "scope": "mail.send", "exp": int(time.time()) + 600}
        self.issuer.answers["/introspect"] = lambda body: (200, json.dumps(
            self.answer if form(body)["token"] == "good" else {"active": False}))
        self.issuer.start()

    def introspecting(self, **settings):
        return self.oauth_relay(introspection_url=self.issuer.url("/introspect"), client_id="relay:1",
                                client_secret="a b%", **settings)

    def test_the_server_is_asked_with_our_name_and_secret(self):
        relay = self.introspecting(required_scopes=["mail.send"])
        self.assertEqual(self.login(xoauth2("good"), "XOAUTH2")[0], 235)
        path, headers, body = self.issuer.requests[0]
        self.assertEqual(path, "/introspect")
        self.assertEqual(base64.b64decode(headers["Authorization"].removeprefix("Basic ")), b"relay%3A1:a%20b%25")
        self.assertEqual(form(body), {"token": "good", "token_type_hint": "access_token"})
        self.refused(relay, "bad", "not active")
        self.assertEqual(self.login(xoauth2("good"), "XOAUTH2")[0], 235)
        self.assertEqual(len(self.issuer.requests), 2, "a good token is known for a while")
        self.refused(relay, "good", "another user", user="bob")

    def test_what_the_server_says_is_checked_as_claims_are(self):
        relay = self.introspecting(required_scopes=["mail.send"], issuer=ISSUER, audience=[AUDIENCE])
        good = self.answer | {"iss": ISSUER, "aud": [AUDIENCE, "another"]}
        for changes, reason in (({"scope": "mail.read"}, "lacks the scope"), ({"aud": "another"}, "audience"),
                                ({"iss": "another"}, "issuer"), ({"exp": 1}, "expired"), ({"sub": None}, "no user name")):
            self.answer = good | changes
            self.refused(relay, "good", reason)
        self.answer = good
        self.assertEqual(self.login(oauthbearer("good"))[0], 235)

    def test_a_server_that_cannot_tell_is_an_outage(self):
        relay = self.introspecting(timeout="1s", cache_time="0s", breaker_failures=100)
        for answer in ((500, "{}"), (401, '{"error":"invalid_client"}'), (200, "{}"), (200, '{"active":"true"}'), (200, "[]"),
                       (200, '{"active":1}'), (200, "{" * 1000), (200, " " * 300_000)):
            self.issuer.answers["/introspect"] = lambda body, answer=answer: answer
            self.assertEqual(self.login(oauthbearer("good"))[0], 454, answer[1][:20])
        wait_for(lambda: "status 401" in relay.log_text(), 60, relay.log_tail)

        def slow(_):
            time.sleep(5)
            return 200, "{}"
        self.issuer.answers["/introspect"] = slow
        self.assertEqual(self.login(oauthbearer("good"))[0], 454)
        self.issuer.close()
        self.assertEqual(self.login(oauthbearer("good"))[0], 454)
        self.issuer.answers["/introspect"] = lambda body: (200, json.dumps(self.answer))
        self.issuer.start()
        self.assertEqual(self.login(oauthbearer("good"))[0], 235)


class Settings(Oauth):
    def test_settings_that_make_no_sense_are_named(self):
        for settings, why in (({"jwks_url": "http://id.example.test/"}, "write a URL such as"),
                              ({"jwks_url": "https://id.example.test/", "introspection_url": "https://id.example.test/"},
                               "give one of jwks_file"),
                              ({"algorithms": ["HS256"]}, "HS256 is not taken"), ({"algorithms": ["none"]}, "none is not taken"),
                              ({"audience": []}, "say whom the tokens must be for"), ({"issuer": ""}, "who must have made"),
                              ({"jwks_url": "", "introspection_url": "https://id.example.test/"}, "client_id and client_secret"),
                              ({"senders": ["{user}@b.example"]}, "{identity} and {local}"),
                              ({"jwks_url": "", "jwks_file": "/dev/null"}, "/dev/null")):
            relay = self.relay(start=False)
            relay.write_config({"auth": [{"use": "oauth", "issuer": ISSUER, "audience": [AUDIENCE],
                                          "jwks_url": "https://id.example.test/"} | settings]})
            relay.spawn()
            self.assertNotEqual(relay.process.wait(240), 0, settings)
            self.assertIn(why, relay.log_text())
            relay.process = None


if __name__ == "__main__":
    main()
