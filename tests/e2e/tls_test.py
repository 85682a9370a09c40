# SPDX-License-Identifier: Apache-2.0
"""TLS of the listeners, as openssl s_client and Python's ssl see it: certificates by name, new ones without a restart,
sessions taken up again, slow and many handshakes, and clients that show certificates of their own."""
import base64
import os
import pathlib
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess

from hedwig_harness import PATIENCE, Case, free_port, host, listening, main, plain_message, tool, wait_for


class Authority:
    """Issues what a test needs; everything lies in one folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca = self.folder / "ca.pem"
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "90", "-subj",
                 "/CN=Test Authority", "-keyout", self.folder / "ca.key", "-out", self.ca)

    @staticmethod
    def run(*arguments):
        done = subprocess.run([tool("openssl", "openssl"), *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"openssl {arguments[0]}: {done.stderr}")
        return done.stdout

    def issue(self, name, names, kind="ec", days=60, extra="", common_name=None):
        """(certificate, key); `names` as in subjectAltName."""
        new = ["-newkey", "rsa:2048"] if kind == "rsa" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        certificate, key, request = (self.folder / f"{name}.{end}" for end in ("crt", "key", "csr"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text((f"subjectAltName={names}\n" if names else "") + extra)
        self.run("req", *new, "-nodes", "-subj", f"/CN={common_name or name}", "-keyout", key, "-out", request)
        self.run("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.folder / "ca.key", "-CAcreateserial",
                 "-days", days, "-extfile", extensions, "-out", certificate)
        return certificate, key

    def fingerprint(self, certificate):
        return self.run("x509", "-in", certificate, "-noout", "-fingerprint", "-sha256").strip().partition("=")[2]


def der(certificate):
    return ssl.PEM_cert_to_DER_cert(pathlib.Path(certificate).read_text())


def pair(files, **more):
    return {"cert_path": str(files[0]), "key_path": str(files[1]), **more}


class TlsCase(Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder / "pki")
        self.own = self.authority.issue("relay", "DNS:relay.example.test")

    def tls_relay(self, tls=None, server=None, listener=None, users=False, start=True):
        """Listeners with implicit TLS and with STARTTLS."""
        self.implicit, self.starttls = free_port(), free_port()
        both = {"relay_from": [], "relay_domains": ["in.example"], **(listener or {})}
        self.tls = {**pair(self.own), **(tls or {})}
        self.server = {"disable_outbound": True, "auth_failure_delay": "0s", **(server or {})}
        if users:
            self.server["auth"] = [{"username": "u", "password": "correct"}]
        self.both = both
        relay = self.relay(start=False)
        relay.port = self.starttls
        self.relay_ = relay
        self.write()
        if start:
            relay.start()
            wait_for(lambda: listening(host(), self.implicit), 60, relay.log_tail)
        return relay

    def write(self, **tls):
        self.tls.update(tls)
        self.relay_.write_config({"server": {**self.server, "listeners": [
            {"addr": f"{host()}:{self.starttls}", **self.both, "tls": {**self.tls, "mode": "starttls"}},
            {"addr": f"{host()}:{self.implicit}", **self.both, "tls": {**self.tls, "mode": "implicit"}}]}})

    def context(self, client=None, version=None, ciphers=None):
        context = ssl.create_default_context(cafile=str(self.authority.ca))
        context.check_hostname = False
        if client:
            context.load_cert_chain(*map(str, client))
        if version:
            context.minimum_version = context.maximum_version = version
        if ciphers:
            context.set_ciphers(ciphers)
        return context

    def connect(self, name="relay.example.test", context=None, session=None, port=None):
        raw = socket.create_connection((host(), port or self.implicit), timeout=60 * PATIENCE)
        self.addCleanup(raw.close)
        one = (context or self.context()).wrap_socket(raw, server_hostname=name, session=session)
        self.addCleanup(one.close)
        return one

    def shown(self, name, **kwargs):
        with self.connect(name, self.context(**kwargs)) as one:
            return one.getpeercert(binary_form=True)

    def client(self, certificate=None, context=None):
        client = smtplib.SMTP_SSL(host(), self.implicit, timeout=60 * PATIENCE,
                                  context=context or self.context(client=certificate))
        self.addCleanup(client.close)
        client.ehlo("client.example.test")
        return client

    def s_client(self, *options, text="QUIT\r\n"):
        done = subprocess.run([tool("openssl", "openssl"), "s_client", "-connect", f"{host()}:{self.implicit}", "-CAfile",
                               str(self.authority.ca), *options], input=text, capture_output=True, text=True,
                              timeout=60 * PATIENCE)
        return done.stdout + done.stderr


class Names(TlsCase):
    def test_a_client_gets_the_certificate_of_the_name_that_it_asks_for(self):
        issue = self.authority.issue
        pool, other = issue("pool", "DNS:*.pool.test"), issue("other", "DNS:mail.other.test,DNS:x.pool.test")
        self.tls_relay({"certificates": [pair(pool), pair(other)]})
        for name, files in {"relay.example.test": self.own, "mail.other.test": other, "MAIL.Other.Test": other,
                            "a.pool.test": pool, "x.pool.test": other, "a.b.pool.test": self.own,
                            "pool.test": self.own, "nobody.test": self.own, None: self.own}.items():
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                self.assertEqual(self.shown(name, version=version), der(files[0]), (name, version))
        with self.relay_.smtp(port=self.starttls) as client:
            client._host = "mail.other.test"  # what smtplib asks for
            client.starttls(context=self.context())
            self.assertEqual(client.sock.getpeercert(binary_form=True), der(other[0]))

    def test_rsa_and_ecdsa_stand_side_by_side_and_the_client_has_the_choice(self):
        rsa = self.authority.issue("relay-rsa", "DNS:relay.example.test", kind="rsa")
        self.tls_relay({"certificates": [pair(rsa)]})
        v12 = ssl.TLSVersion.TLSv1_2
        for name in ("relay.example.test", "nobody.test"):
            self.assertEqual(self.shown(name), der(self.own[0]))
            self.assertEqual(self.shown(name, version=v12, ciphers="ECDHE-RSA-AES128-GCM-SHA256"), der(rsa[0]))
            self.assertEqual(self.shown(name, version=v12, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"), der(self.own[0]))
            said = self.s_client("-servername", name, "-tls1_3", "-sigalgs", "RSA-PSS+SHA256")
            self.assertIn("Peer signature type: RSA-PSS", said)
            self.assertIn("Verify return code: 0 (ok)", said)

    def test_old_protocols_and_suites_are_refused(self):
        self.tls_relay()
        for options in (["-tls1"], ["-tls1_1"], ["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"],
                        ["-tls1_2", "-cipher", "kRSA:@SECLEVEL=0"], ["-tls1_2", "-cipher", "kDHE:@SECLEVEL=0"],
                        ["-tls1_2", "-cipher", "RC4:3DES:@SECLEVEL=0"]):
            self.assertNotIn("220 relay.example.test", self.s_client(*options), options)
        for options in (["-tls1_2"], ["-tls1_3"]):
            self.assertIn("221 2.0.0", self.s_client("-quiet", *options), options)

    def test_check_says_what_is_wrong_with_which_file(self):
        issue = self.authority.issue
        good, other = issue("good", "DNS:good.test"), issue("other", "DNS:other.test")
        relay = self.tls_relay(start=False)

        def check(expect, *certificates):
            self.write(certificates=[pair(files) for files in certificates])
            done = subprocess.run(relay.command("check"), capture_output=True, text=True, timeout=60 * PATIENCE)
            self.assertEqual(done.returncode == 0, expect, done.stderr)
            return "\n".join(line for line in done.stderr.splitlines() if ".crt" in line or "key" in line)

        self.assertEqual(check(True, good, other), "")
        said = check(False, good, (other[0], good[1]))
        self.assertIn(f"{good[1]}: this key does not belong to the certificate in {other[0]}", said)
        said = check(False, (self.folder / "gone.crt", good[1]))
        self.assertIn("gone.crt: cannot read the certificate: No such file or directory", said)
        said = check(False, (good[0], self.folder))
        self.assertIn("cannot read the key: Is a directory", said)
        cut = self.folder / "cut.crt"
        cut.write_text(good[0].read_text()[:-40])
        self.assertIn(f"{cut}: no usable certificate", check(False, (cut, good[1])))
        old = issue("old", "DNS:old.test", days=-1)
        self.assertRegex(check(True, old), rf"warning: .*{old[0]} has expired on 20")
        soon = issue("soon", "DNS:soon.test", days=5)
        self.assertRegex(check(True, soon), rf"warning: .*{soon[0]} \(soon.test\) expires in [45] days, on 20")
        alone = issue("alone", "DNS:alone.test", extra="authorityInfoAccess=caIssuers;URI:http://ca.test/ca.crt\n")
        self.assertIn("has an incomplete chain", check(True, alone))
        full = self.folder / "full.crt"
        full.write_text(alone[0].read_text() + self.authority.ca.read_text())
        self.assertEqual(check(True, (full, alone[1])), "")
        full.write_text(alone[0].read_text() + good[0].read_text())
        self.assertIn("does not belong to its chain", check(True, (full, alone[1])))
        nameless = issue("nameless", None)
        self.assertIn("has no DNS name in subjectAltName", check(True, nameless))
        self.assertIn("has no name of its own", check(True, good, good))


class Renewal(TlsCase):
    def replace(self, name, fresh):
        """As a careful program does it: under the name all at once."""
        shutil.copy(fresh, f"{name}.new")
        os.replace(f"{name}.new", name)

    def test_new_files_are_taken_up_and_half_a_pair_is_not(self):
        issue = self.authority.issue
        second = issue("second", "DNS:relay.example.test", days=50)
        self.own = tuple(pathlib.Path(shutil.copy(file, self.folder)) for file in self.own)
        first = der(self.own[0])
        relay = self.tls_relay(server={"tls": {"watch_interval": "1s"}})
        before = self.connect()
        self.assertEqual(before.recv(3), b"220")
        expiry = f'hedwig_tls_certificate_expires_seconds{{file="{self.own[0]}"}}'
        ends = wait_for(lambda: relay.metrics().get(expiry), 60, relay.log_tail)
        self.replace(self.own[0], second[0])
        wait_for(lambda: [one for one in relay.events() if one["event"] == "tls.refused"], 60, relay.log_tail)
        self.assertEqual(self.shown("relay.example.test"), first)
        self.assertEqual(relay.metrics()[expiry], ends)
        self.replace(self.own[1], second[1])
        wait_for(lambda: self.shown("relay.example.test") == der(second[0]), 60, relay.log_tail, 0.5)
        wait_for(lambda: 0 < relay.metrics()[expiry] < ends, 60, relay.log_tail)
        reloads = "hedwig_tls_certificate_reloads_total"
        self.assertGreaterEqual(relay.metrics()[f'{reloads}{{result="refused"}}'], 1)
        self.assertGreaterEqual(relay.metrics()[f'{reloads}{{result="applied"}}'], 1)
        before.sendall(b"QUIT\r\n")  # begun with the old one, and going on
        self.assertIn(b"221", before.recv(1000) + before.recv(1000))

    def test_sighup_reads_them_where_nobody_watches(self):
        second = self.authority.issue("second", "DNS:relay.example.test")
        self.own = tuple(pathlib.Path(shutil.copy(file, self.folder)) for file in self.own)
        relay = self.tls_relay(server={"tls": {"watch_interval": "0s"}})
        for old, new in zip(self.own, second):
            self.replace(old, new)
        relay.signal(signal.SIGHUP)
        wait_for(lambda: [one for one in relay.events() if one["event"] == "config.reloaded"], 60, relay.log_tail)
        self.assertEqual(self.shown("relay.example.test"), der(second[0]))
        third = self.authority.issue("third", "DNS:third.test")
        self.write(certificates=[pair(third)])
        relay.signal(signal.SIGHUP)
        wait_for(lambda: self.shown("third.test") == der(third[0]), 60, relay.log_tail, 0.5)

    def test_a_certificate_that_runs_out_is_told_of(self):
        self.own = self.authority.issue("soon", "DNS:relay.example.test", days=3)
        relay = self.tls_relay()
        found = wait_for(lambda: [one for one in relay.events() if one["event"] == "tls.expires"], 60, relay.log_tail)
        self.assertEqual(len(found), 1, "once for both listeners")
        self.assertRegex(found[0]["what"], r"soon.crt \(relay.example.test\) expires in [23] days")
        self.assertEqual(found[0]["level"], "warn")


class Sessions(TlsCase):
    def resumed(self, version, session):
        one = self.connect(context=self.kept[version], session=session)
        self.assertEqual(one.recv(3), b"220")  # behind it the ticket has come
        return one.session_reused, one.session

    def test_a_session_goes_on_over_connections_loops_and_reloads(self):
        relay = self.tls_relay(server={"tls": {"watch_interval": "0s"}})
        versions = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        self.kept = {version: self.context(version=version) for version in versions}
        sessions = {}
        for version in versions:
            reused, sessions[version] = self.resumed(version, None)
            self.assertFalse(reused)
            for _ in range(6):  # whichever loop it is
                reused, sessions[version] = self.resumed(version, sessions[version])
                self.assertTrue(reused, version)
        relay.signal(signal.SIGHUP)
        wait_for(lambda: [one for one in relay.events() if one["event"] == "config.reloaded"], 60, relay.log_tail)
        for version in versions:
            self.assertTrue(self.resumed(version, sessions[version])[0], version)
        self.assertGreaterEqual(relay.metric("hedwig_tls_resumed_total"), 14)
        self.assertEqual(relay.metric("hedwig_tls_ticket_keys_total"), 1)
        relay.write_config({"server": {"tls": {"ticket_rotation": "0s"}}})
        relay.signal(signal.SIGHUP)
        wait_for(lambda: len([one for one in relay.events() if one["event"] == "config.reloaded"]) == 2, 60, relay.log_tail)
        for version in versions:
            self.assertFalse(self.resumed(version, sessions[version])[0], version)

    def test_openssl_takes_sessions_up_too(self):
        self.tls_relay()
        said = self.s_client("-tls1_2", "-reconnect")
        self.assertEqual(len(re.findall("^New, TLSv1.2", said, re.M)), 1, said)
        self.assertEqual(len(re.findall("^Reused, TLSv1.2", said, re.M)), 5, said)
        kept = str(self.folder / "session")
        self.s_client("-tls1_3", "-sess_out", kept, "-ign_eof")
        said = self.s_client("-tls1_3", "-sess_in", kept, "-ign_eof")
        self.assertIn("Reused, TLSv1.3", said)
        self.assertIn("Verify return code: 0 (ok)", said)


class Handshakes(TlsCase):
    def raw(self, port=None):
        one = socket.create_connection((host(), port or self.implicit), timeout=60 * PATIENCE)
        self.addCleanup(one.close)
        return one

    def hello(self):
        """What a client says first."""
        outgoing = ssl.MemoryBIO()
        with self.assertRaises(ssl.SSLWantReadError):
            self.context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="relay.example.test").do_handshake()
        return outgoing.read()

    def assert_cut(self, one):
        try:
            while one.recv(4096):
                pass
        except ConnectionError:
            pass

    def test_who_does_not_finish_in_time_is_cut_off(self):
        relay = self.tls_relay(server={"tls": {"handshake_timeout": "1s"}})
        silent, halfway, later = self.raw(), self.raw(), self.raw(self.starttls)
        halfway.sendall(self.hello())
        with later.makefile("rb") as answers:
            answers.readline()
            later.sendall(b"EHLO client.example.test\r\nSTARTTLS\r\n")
            while not answers.readline().startswith(b"220 "):
                pass
            for one in (silent, halfway, later):
                self.assert_cut(one)
        hits = 'hedwig_limit_hits_total{limit="server.tls.handshake_timeout"}'
        wait_for(lambda: relay.metrics().get(hits) == 3, 60, relay.log_tail)
        wait_for(lambda: relay.metrics().get("hedwig_tls_handshakes_running") == 0, 60, relay.log_tail)

    def test_above_the_limit_handshakes_wait_and_above_that_they_are_cut(self):
        relay = self.tls_relay(server={"tls": {"max_handshakes": 2, "max_waiting_handshakes": 1, "handshake_timeout": "1h"}})
        idle = [self.raw() for _ in range(5)]
        begun = [self.raw() for _ in range(2)]
        for one in begun:
            one.sendall(self.hello())
        wait_for(lambda: relay.metric("hedwig_tls_handshakes_running") == 2, 60, relay.log_tail)
        waiting = self.raw(self.implicit)
        waiting.sendall(self.hello())
        wait_for(lambda: relay.metric("hedwig_tls_handshakes_waiting") == 1, 60, relay.log_tail)
        refused = self.raw()
        refused.sendall(self.hello())
        self.assert_cut(refused)
        wait_for(lambda: relay.metrics().get('hedwig_limit_hits_total{limit="server.tls.max_waiting_handshakes"}') == 1, 60,
                 relay.log_tail)
        begun[0].close()
        self.assertEqual(waiting.recv(1), b"\x16", "its turn has come")
        begun[1].close()
        self.assertEqual(self.connect().recv(3), b"220")
        self.assertGreaterEqual(relay.metric("hedwig_tls_handshakes_delayed_total"), 1)
        for one in idle:
            one.close()

    def test_a_listener_may_have_a_limit_of_its_own(self):
        relay = self.tls_relay({"max_handshakes": 1}, server={"tls": {"handshake_timeout": "1h"}})
        begun = self.raw()
        begun.sendall(self.hello())
        wait_for(lambda: relay.metric("hedwig_tls_handshakes_running") == 1, 60, relay.log_tail)
        waiting = self.raw()
        waiting.sendall(self.hello())
        wait_for(lambda: relay.metric("hedwig_tls_handshakes_waiting") == 1, 60, relay.log_tail)
        with relay.smtp(port=self.starttls) as other:
            self.assertEqual(other.starttls(context=self.context())[0], 220)
            self.assertEqual(other.noop()[0], 250, "another listener has places of its own")
        begun.close()
        self.assertEqual(waiting.recv(1), b"\x16")


class ClientCertificates(TlsCase):
    def setUp(self):
        super().setUp()
        issue = self.authority.issue
        self.app = issue("app", "DNS:app.example.test", common_name="App Server")
        self.person = issue("person", "email:ann@example.test")
        self.strange = Authority(self.folder / "elsewhere").issue("stranger", "email:ann@example.test", common_name="u")
        self.pinned = Authority(self.folder / "third").issue("pinned", "DNS:pinned.example.test", days=-1)

    def external_relay(self, server=None, **tls):
        return self.tls_relay({"client_ca": str(self.authority.ca), "clients": [
            {"name": "app.example.test", "users": ["app", "app-batch"], "senders": ["@app.example"]},
            {"fingerprint": self.authority.fingerprint(self.pinned[0]), "users": ["pinned"]}], **tls}, server)

    def external(self, client, authzid=None):
        """Code and text of AUTH EXTERNAL, with an initial response unless `authzid` is None."""
        if authzid is not None:
            return client.docmd("AUTH", "EXTERNAL " + (base64.b64encode(authzid.encode()).decode() or "="))
        code, text = client.docmd("AUTH", "EXTERNAL")
        self.assertEqual((code, text), (334, b""))
        return client.docmd("")

    def user_of(self, client, sender):
        """Whose message the relay says it took."""
        events = lambda: [one for one in self.relay_.events() if one["event"] == "message.accepted"]
        before = len(events())
        client.sendmail(sender, ["bob@example.net"], plain_message(sender))
        return wait_for(lambda: events()[before:], 60, self.relay_.log_tail)[0]["user"]

    def test_external_is_offered_to_whom_a_certificate_names_and_to_nobody_else(self):
        self.external_relay()
        for certificate, offered in {None: False, self.app: True, self.strange: False, self.person: False,
                                     self.pinned: True}.items():
            client = self.client(certificate)
            mechanisms = client.esmtp_features.get("auth", "").split()
            self.assertEqual("EXTERNAL" in mechanisms, offered, certificate)
            if not offered:
                self.assertIn(self.external(client, "")[0], (502, 504))
        with self.relay_.smtp(port=self.starttls) as client:
            client.ehlo()
            self.assertNotIn("auth", client.esmtp_features)
            client.starttls(context=self.context(client=self.app))
            client.ehlo()
            self.assertIn("EXTERNAL", client.esmtp_features["auth"])

    def test_the_authorization_identity_is_one_of_the_users_of_the_certificate(self):
        self.external_relay()
        for authzid, user in {None: "app", "": "app", "app": "app", "app-batch": "app-batch"}.items():
            client = self.client(self.app)
            self.assertEqual(self.external(client, authzid)[0], 235, authzid)
            self.assertEqual(self.user_of(client, "x@app.example"), user)
        for authzid in ("pinned", "root", "App", "app\0x", "\u00fc", "x" * 300):
            client = self.client(self.app)
            self.assertIn(self.external(client, authzid)[0], (501, 535), authzid)
            self.assertEqual(client.mail("x@app.example")[0], 250)
            self.assertEqual(client.rcpt("bob@example.net")[0], 550, "nobody is logged in")

    def test_senders_are_those_of_the_certificate(self):
        self.external_relay()
        client = self.client(self.app)
        self.assertEqual(self.external(client, "")[0], 235)
        self.assertEqual(client.mail("x@elsewhere.example")[0], 553)
        self.assertEqual(client.mail("x@app.example")[0], 250)
        pinned = self.client(self.pinned)
        self.assertEqual(self.external(pinned, "")[0], 235, "it has expired, and is known all the same")
        self.assertEqual(pinned.mail("x@elsewhere.example")[0], 250)

    def test_a_certificate_without_an_entry_is_looked_up_by_its_mail_address(self):
        self.external_relay(server={"auth": [{"username": "ann@example.test", "password": "x"},
                                             {"username": "u", "password": "y"}]})
        client = self.client(self.person)
        self.assertEqual(self.external(client, "")[0], 235)
        self.assertEqual(self.user_of(client, "x@example.test"), "ann@example.test")
        client = self.client(self.person)
        self.assertEqual(self.external(client, "u")[0], 535, "the provider lets nobody act for another")
        self.assertEqual(self.external(client, "ann@example.test")[0], 235)
        unknown = self.authority.issue("unknown", "email:zoe@example.test")
        self.assertEqual(self.external(self.client(unknown), "")[0], 535)
        self.assertNotIn("EXTERNAL", self.client(self.strange).esmtp_features.get("auth", ""), "of another authority")

    def test_external_works_in_a_session_that_is_taken_up_again_until_the_client_is_struck_out(self):
        relay = self.external_relay(mode="implicit")
        context = self.context(client=self.app)
        first = self.connect(context=context)
        self.assertEqual(first.recv(3), b"220")

        def offered(session):
            one = self.connect(context=context, session=session)
            with one.makefile("rb") as answers:
                answers.readline()
                one.sendall(b"EHLO client.example.test\r\n")
                lines = []
                while not lines or lines[-1][3:4] == b"-":
                    lines.append(answers.readline())
            return one.session_reused, any(line.startswith(b"250-AUTH") and b"EXTERNAL" in line for line in lines), one.session

        reused, has_it, session = offered(first.session)
        self.assertEqual((reused, has_it), (True, True))
        self.write(clients=[])
        relay.signal(signal.SIGHUP)
        wait_for(lambda: [one for one in relay.events() if one["event"] == "config.reloaded"], 60, relay.log_tail)
        self.assertFalse(offered(session)[1])

    def test_require_ends_the_handshake_of_who_shows_none_or_a_wrong_one(self):
        self.external_relay(require_client_certificate=True)
        for certificate in (None, self.strange):
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                self.connect(context=self.context(client=certificate)).recv(3)
        for certificate in (self.app, self.person, self.pinned):
            self.assertEqual(self.connect(context=self.context(client=certificate)).recv(3), b"220")

    def test_check_knows_entries_that_cannot_work(self):
        relay = self.tls_relay(start=False)

        def check(**tls):
            self.tls = pair(self.own)
            self.write(**tls)
            done = subprocess.run(relay.command("check"), capture_output=True, text=True, timeout=60 * PATIENCE)
            self.assertNotEqual(done.returncode, 0)
            return done.stderr

        self.assertIn("needs either fingerprint or name", check(clients=[{"users": ["u"]}]))
        self.assertIn("is no SHA-256", check(clients=[{"fingerprint": "12:34", "users": ["u"]}]))
        self.assertIn("of no use without client_ca", check(clients=[{"name": "a.test", "users": ["u"]}]))
        self.assertIn("no certificate is right", check(require_client_certificate=True))
        self.assertIn("users", check(clients=[{"fingerprint": "00" * 32, "users": []}]))
        self.assertIn("users is missing", check(clients=[{"fingerprint": "00" * 32}]))
        self.assertIn("cannot read the list of authorities", check(client_ca=str(self.folder / "gone.pem")))


if __name__ == "__main__":
    main()
