# SPDX-License-Identifier: Apache-2.0
"""What a running relay takes over of a changed file, and what it says about the rest."""
import itertools
import os
import re
import signal
import smtplib
import socket
import subprocess

from hedwig_harness import Case, free_port, generate_key, main, make_certificate, program, wait_for

NOBODY = {"relay_from": [], "relay_domains": ["in.example"]}
ANYONE_HERE = {"relay_from": ["127.0.0.0/8"]}
USERS_ONLY = {"relay_from": [], "require_auth": True, "allow_auth_in_clear": True}


class ReloadCase(Case):
    def reload(self, relay, outcome="config.reloaded"):
        """SIGHUP, and the events of that reload."""
        before = len(relay.events())
        relay.signal(signal.SIGHUP)

        def done():
            fresh = relay.events()[before:]
            return fresh if any(event["event"] == outcome for event in fresh) else None

        return wait_for(done, 60, lambda: f"{outcome}\n{relay.log_tail()}")

    @staticmethod
    def keys(events, event):
        return [one["key"] for one in events if one["event"] == event]

    def answer(self, relay, port, recipient, credentials=None):
        """Code of RCPT, or of MAIL where that is refused already."""
        with relay.smtp(port=port) as client:
            client.ehlo()
            if credentials:
                client.login(*credentials)
            code, _ = client.mail("alice@example.test")
            return code if code != 250 else client.rcpt(recipient)[0]


class Listeners(ReloadCase):
    """Whatever stands in the file, an address keeps its own rules: anything else would be an open relay."""

    def setUp(self):
        super().setUp()
        self.relay_ = self.relay(start=False)
        first = self.relay_.port
        self.ports = [first, *(free_port(self.relay_.address) for _ in range(3))]
        self.write(self.three())
        self.relay_.start()

    def listener(self, number, rules):
        return {"addr": f"{self.relay_.address}:{self.ports[number]}", **rules}

    def three(self):
        return [self.listener(0, NOBODY), self.listener(1, ANYONE_HERE), self.listener(2, USERS_ONLY)]

    def write(self, listeners, **changes):
        self.relay_.write_config({"server": {"listeners": listeners, "auth": [{"username": "u", "password": "correct"}],
                                             **changes}})

    def name(self, number):
        return f"server.listeners[{self.relay_.address}:{self.ports[number]}]"

    def check_rules(self):
        relay = self.relay_
        self.assertEqual(self.answer(relay, self.ports[0], "bob@example.net"), 550, "it relays for nobody")
        self.assertEqual(self.answer(relay, self.ports[0], "bob@in.example"), 250, "it is the gateway of in.example")
        self.assertEqual(self.answer(relay, self.ports[1], "bob@example.net"), 250, "it relays for this machine")
        self.assertEqual(self.answer(relay, self.ports[2], "bob@example.net"), 530, "it relays for users")
        self.assertEqual(self.answer(relay, self.ports[2], "bob@example.net", ("u", "correct")), 250)
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex((relay.address, self.ports[3])), 0, "nobody listens there yet")

    def test_swapped_added_and_removed_listeners_never_get_the_rules_of_another(self):
        self.check_rules()
        added = self.listener(3, ANYONE_HERE)
        for order in itertools.permutations(self.three()):
            self.write(list(order))
            self.assertEqual(self.keys(self.reload(self.relay_), "config.needs-restart"), [])
            self.check_rules()
        for kept in itertools.permutations(range(3), 1):
            self.write([added, *(self.three()[number] for number in kept)])
            events = self.reload(self.relay_)
            self.assertEqual(self.keys(events, "config.needs-restart"),
                             sorted([self.name(3), *(self.name(number) for number in range(3) if number not in kept)]))
            self.assertEqual(self.keys(events, "config.changed"), [])
            self.check_rules()
        self.write([added])
        self.reload(self.relay_)
        self.check_rules()

    def test_new_rules_are_in_force_at_their_own_address_only(self):
        wider = {**NOBODY, "relay_domains": ["in.example", "example.net"]}
        self.write([self.listener(2, USERS_ONLY), self.listener(0, wider)])
        events = self.reload(self.relay_)
        self.assertEqual(self.keys(events, "config.changed"), [self.name(0) + ".relay_domains"])
        self.assertEqual(self.keys(events, "config.needs-restart"), [self.name(1)])
        self.assertEqual(self.answer(self.relay_, self.ports[0], "bob@example.net"), 250)
        self.assertEqual(self.answer(self.relay_, self.ports[0], "bob@example.org"), 550)
        self.assertEqual(self.answer(self.relay_, self.ports[2], "bob@example.net"), 530)

    def test_users_come_and_go_and_the_last_one_with_a_restart(self):
        self.relay_.write_config({"server": {"auth": [{"username": "v", "password": "other"}]}})
        self.reload(self.relay_)
        self.assertEqual(self.answer(self.relay_, self.ports[2], "bob@example.net", ("v", "other")), 250)
        with self.assertRaises(smtplib.SMTPAuthenticationError):
            self.answer(self.relay_, self.ports[2], "bob@example.net", ("u", "correct"))
        self.write([self.listener(0, NOBODY), self.listener(1, ANYONE_HERE)])
        self.relay_.write_config({"server": {"auth": None}})
        self.assertIn("server.auth", self.keys(self.reload(self.relay_), "config.needs-restart"))
        self.assertEqual(self.answer(self.relay_, self.ports[2], "bob@example.net", ("v", "other")), 250)


class Keys(ReloadCase):
    def test_what_waits_for_a_restart_waits_and_is_named_until_then(self):
        relay = self.relay()
        relay.write_config({"server": {"hostname": "new.example.test", "max_recipients": 2},
                            "storage": {"base_path": str(relay.folder / "elsewhere")}, "dns": {"max_mx": 7}})
        for _ in range(2):
            events = self.reload(relay)
            self.assertEqual(self.keys(events, "config.needs-restart"), ["dns.max_mx", "server.hostname", "storage.base_path"])
        with relay.smtp() as client:
            self.assertIn(b"relay.example.test", client.ehlo()[1], "the old name")
            client.mail("alice@example.test")
            self.assertEqual([client.rcpt(f"r{number}@example.net")[0] for number in range(3)], [250, 250, 452],
                             "the new limit")
        self.assertFalse((relay.folder / "elsewhere").exists())
        relay.stop()
        relay.start()
        with relay.smtp() as client:
            self.assertIn(b"new.example.test", client.ehlo()[1])

    def test_the_drain_timeout_in_force_is_the_new_one(self):
        relay = self.relay({"process": {"drain_timeout": "59m"}})
        client = relay.smtp()
        self.addCleanup(client.close)
        client.ehlo()
        client.mail("alice@example.test")  # a transaction under way, which the end waits for
        relay.write_config({"process": {"drain_timeout": "0s"}})
        self.assertEqual(self.keys(self.reload(relay), "config.changed"), ["process.drain_timeout"])
        relay.stop(timeout=60)
        self.assertIn("relay.drain-timeout", [event["event"] for event in relay.events()])

    def test_rules_of_filters_change_in_force(self):
        rule = {"type": "from_domain_filter", "domain": ["bad.example"], "action": "deny"}
        relay = self.relay({"filters": [rule]})
        relay.submit(sender="eve@worse.example")
        relay.write_config({"filters": [rule, {**rule, "domain": ["worse.example"]}]})
        self.assertEqual(self.keys(self.reload(relay), "config.changed"), ["filters"])
        with self.assertRaises(smtplib.SMTPSenderRefused):
            relay.submit(sender="eve@worse.example")
        relay.write_config({"filters": None})
        self.assertEqual(self.keys(self.reload(relay), "config.needs-restart"), ["filters"])
        with self.assertRaises(smtplib.SMTPSenderRefused):
            relay.submit(sender="eve@bad.example")


class Refused(ReloadCase):
    def test_a_broken_file_changes_nothing_and_says_why_with_its_place(self):
        certificate, key = make_certificate(self.folder)
        port = free_port()
        relay = self.relay(start=False)
        listeners = [{"addr": f"{relay.address}:{relay.port}", "relay_from": []},
                     {"addr": f"{relay.address}:{port}", "tls": {"cert_path": certificate, "key_path": key, "mode": "starttls"}}]
        relay.write_config({"server": {"listeners": listeners}})
        relay.start()
        good = relay.config_path.read_text()
        broken = {
            "max_message_size": (good.replace('[server]\n', '[server]\nmax_message_size = "lots"\n'), 'max_message_size = "lots"'),
            "key_path": (good.replace(key, "/nonexistent.key"), "key_path"),
            "cert_path": (good.replace(certificate, str(relay.config_path)), "cert_path"),
            "toml": (good + "\n[[[\n", "[[["),
            "base_path": (good.replace("base_path", "base_pth"), "base_pth"),
        }
        for name, (text, word) in broken.items():
            with self.subTest(name):
                relay.config_path.write_text(text.replace("relay_from = []", 'relay_from = ["0.0.0.0/0"]'))
                line = next(number for number, content in enumerate(text.splitlines(), 1) if word in content)
                events = self.reload(relay, "config.refused")
                errors = [one["error"] for one in events if one["event"] == "config.error"]
                self.assertTrue(any(f"hedwig.toml:{line}:" in error for error in errors), (line, errors))
                self.assertEqual(self.answer(relay, relay.port, "bob@example.net"), 550, "the old rules")
        self.assertEqual(relay.metric('hedwig_reloads_total'), len(broken))
        relay.config_path.write_text(good.replace("relay_from = []", 'relay_from = ["127.0.0.0/8"]'))
        self.reload(relay)
        self.assertEqual(relay.submit(), {})


class Check(ReloadCase):
    def check(self, relay):
        done = subprocess.run(relay.command("check"), capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout + done.stderr

    def place(self, relay, *words):
        """The line in which the words first stand below one another."""
        number = 0
        lines = relay.config_path.read_text().splitlines()
        for word in words:
            number = next(at for at in range(number, len(lines)) if word in lines[at])
        return number + 1

    def test_everything_that_does_not_load_is_told_at_once_at_the_key_that_names_it(self):
        certificate, _ = make_certificate(self.folder)
        _, other = make_certificate(self.folder, "other.example.test")
        wrong_type, _, _ = generate_key(self.folder, key_type="ed25519")
        garbage = self.folder / "garbage.pem"
        garbage.write_text("no key\n")
        relay = self.relay(start=False)
        relay.write_config({
            "server": {
                "workers": 3,
                "listeners": [
                    {"addr": f"{relay.address}:{relay.port}", "name": "first",
                     "tls": {"cert_path": "/nonexistent.crt", "key_path": other, "mode": "starttls"}},
                    {"addr": f"{relay.address}:{free_port()}", "name": "second", "tls": {"cert_path": certificate, "key_path": other}}],
                "dkim": [{"domain": "a.example", "selector": "absent", "private_key": "/nonexistent.pem"},
                         {"domain": "b.example", "selector": "garbage", "private_key": str(garbage)},
                         {"domain": "c.example", "selector": "wrongtype", "private_key": wrong_type}]},
            "outbound": {"ca_file": "/nonexistent.ca"},
            "dsn": {"from": "nobody at all"},
            "storage": {"rocksdb": {"memtable_siz": 1}},
            "auth": [{"use": "absent-directory"}, {"use": "static", "name": "mine", "file": 3}],
        })
        status, output = self.check(relay)
        self.assertEqual(status, 2, output)
        for words in (("first", "cert_path"), ("second", "key_path"), ("absent", "private_key"), ("garbage", "private_key"),
                      ("wrongtype", "key_type") if "key_type" in relay.config_path.read_text() else ("wrongtype",),
                      ("ca_file",), ("nobody at all",), ("memtable_siz",), ("absent-directory",), ("file = 3",)):
            line = self.place(relay, *words)
            around = rf"(?:{line}|{line - 1}|{line - 2})" if words == ("wrongtype",) or words == ("absent-directory",) else line
            self.assertRegex(output, rf"(?m)^\S*hedwig\.toml:{around}:\d+: error: \S", words)
        self.assertRegex(output, rf"(?m)^\S*hedwig\.toml:{self.place(relay, 'workers')}:\d+: warning: ")
        for line in output.splitlines():
            self.assertRegex(line, r"hedwig\.toml:\d+:\d+: (error|warning): ", "each line says where and what it is")

    def test_errors_of_the_file_itself_hide_none_of_what_it_names(self):
        relay = self.relay(start=False)
        relay.write_config({
            "server": {"max_connections": "many", "hostnam": "x",
                       "dkim": [{"domain": "a.example", "selector": "absent", "private_key": "/nonexistent.pem"},
                                {"domain": "b.example", "selector": "wrong", "private_key": 3}],
                       "listeners": [{"addr": f"{relay.address}:{relay.port}", "tls": {"cert_path": "/nonexistent.crt", "key_path": "/nonexistent.key"}}]},
            "storage": {"rocksdb": {"memtable_siz": 1}},
            "auth": [{"use": "absent-directory"}],
        })
        status, output = self.check(relay)
        self.assertEqual(status, 2, output)
        for words in (("max_connections",), ("hostnam =",), ("absent", "private_key"), ("wrong", "private_key"), ("cert_path",),
                      ("memtable_siz",), ("absent-directory",)):
            told = re.findall(rf"(?m)hedwig\.toml:{self.place(relay, *words)}:\d+: error: (.*)$", output)
            self.assertEqual(len(told), 1, f"{words}\n{output}")
        relay.spawn()
        relay.ended(timeout=60, expect=2)
        self.assertEqual(relay.log_text().count(": error: "), output.count(": error: "))

    def test_the_start_says_the_same(self):
        relay = self.relay({"server": {"dkim": [{"domain": "a.example", "selector": "s", "private_key": "/nonexistent.pem"}]}},
                           start=False)
        relay.spawn()
        self.assertEqual(relay.process.wait(300), 2)
        relay.process = None
        self.assertRegex(relay.log_text(), rf"hedwig\.toml:{self.place(relay, 'private_key')}:\d+: error: ")


class Ready(ReloadCase):
    def start_with_a_service_manager(self, config):
        relay = self.relay(config, start=False)
        manager = self.opened(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind(str(self.folder / "notify"))
        manager.settimeout(120)
        relay.environment = {"NOTIFY_SOCKET": str(self.folder / "notify")}
        return relay, manager

    def test_the_service_manager_hears_when_everything_is_open_and_when_it_ends(self):
        relay, manager = self.start_with_a_service_manager({})
        relay.spawn()
        self.assertIn(b"READY=1", manager.recv(1000))
        self.assertTrue(relay.socket.exists())
        self.assertEqual(relay.http("/readyz", relay.health_port)[0], 200)
        self.assertTrue(relay.admin("status")["ready"])
        relay.stop()
        self.assertIn(b"STOPPING=1", manager.recv(1000))

    def test_it_never_says_ready_without_its_console(self):
        (self.folder / "file").touch()
        at = self.folder / "file" / "admin.sock"
        relay, manager = self.start_with_a_service_manager({"admin": {"socket": str(at)}})
        relay.spawn()
        self.assertEqual(relay.process.wait(120), 1)
        relay.process = None
        self.assertNotIn("relay.ready", [event["event"] for event in relay.events()])
        self.assertIn(str(at), relay.log_text())
        manager.setblocking(False)
        with self.assertRaises(BlockingIOError):
            manager.recv(1000)


class EarlyTalkers(ReloadCase):
    def listening(self, relay):
        """Opens the relay's socket before the relay runs, as a service manager does, so that a client can be early."""
        listener = self.opened(socket.socket())
        listener.bind((relay.address, relay.port))
        listener.listen(16)
        os.set_inheritable(listener.fileno(), True)
        return listener

    def start_activated(self, relay, listener):
        script = f'exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
        relay.write_config()
        with open(relay.log_path, "ab") as log:
            relay.process = subprocess.Popen(["bash", "-c", script, "bash", program("hedwig"), "-c", str(relay.config_path)],
                                             stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                             pass_fds=[listener.fileno()], cwd=relay.folder)

    def early(self, relay, text=b"EHLO bot.example\r\nMAIL FROM:<a@b.example>\r\n"):
        client = self.opened(socket.create_connection((relay.address, relay.port), timeout=120))
        client.sendall(text)
        return client

    @staticmethod
    def everything(client):
        data = b""
        while chunk := client.recv(4096):
            data += chunk
        return data

    def test_who_has_spoken_before_the_greeting_is_refused(self):
        relay = self.relay(start=False)
        listener = self.listening(relay)
        client = self.early(relay)
        self.start_activated(relay, listener)
        answer = self.everything(client)
        self.assertRegex(answer, rb"^554 5\.5\.1 [^\n]*\r\n$", "one reply, no greeting, nothing executed")
        wait_for(relay._greets, 60, relay.log_tail)
        self.assertEqual(relay.submit(), {}, "others are served")
        self.assertEqual(relay.metrics()[f'hedwig_connections_refused_total{{listener="{relay.address}:{relay.port}",'
                                         'reason="early_talker"}'], 1)

    def test_it_can_be_allowed(self):
        relay = self.relay({"server": {"refuse_early_talkers": False}}, start=False)
        listener = self.listening(relay)
        client = self.early(relay, b"EHLO early.example\r\nQUIT\r\n")
        self.start_activated(relay, listener)
        self.assertRegex(self.everything(client), rb"(?s)^220 .*250 .*221 ")

    def test_a_greeting_delay_catches_them_and_spares_our_own_clients(self):
        relay = self.relay({"server": {"greeting_delay": "60s"}})  # start() waits for a greeting
        relay.write_config({"server": {"listeners": [{"addr": f"{relay.address}:{relay.port}", "relay_from": []}]}})
        wait_for(lambda: self.reload(relay), 60, "the reload")
        self.assertRegex(self.everything(self.early(relay)), rb"^554 5\.5\.1 ")
        relay.write_config({"server": {"greeting_delay": "1s", "refuse_early_talkers": False}})
        self.reload(relay)
        self.assertRegex(self.everything(self.early(relay, b"QUIT\r\n")), rb"(?s)^220 .*221 ", "what came early is kept")


class Tools(ReloadCase):
    def run_hedwig(self, *arguments, text=""):
        done = subprocess.run([program("hedwig"), *arguments], capture_output=True, text=True, input=text, timeout=300)
        return done.returncode, done.stdout, done.stderr

    def test_a_hashed_password_lets_its_user_in(self):
        status, hashed, errors = self.run_hedwig("hash-password", text="pa$$ w\u00f6rd\n")
        self.assertEqual((status, errors), (0, ""))
        self.assertRegex(hashed, r"^\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$\S+\$\S+\n$")
        self.assertNotEqual(hashed, self.run_hedwig("hash-password", text="pa$$ w\u00f6rd\n")[1], "salted")
        relay = self.relay(start=False)
        relay.write_config({"server": {"listeners": [{"addr": f"{relay.address}:{relay.port}", "allow_auth_in_clear": True}],
                                       "auth": [{"username": "u", "password": hashed.strip()}]}})
        relay.start()
        with relay.smtp() as client:
            client.ehlo()
            client.user, client.password = "u", "pa$$ w\u00f6rd"
            self.assertEqual(client.docmd("AUTH", "PLAIN " + self.plain("u", "pa$$ w\u00f6rd"))[0], 235)
        name = "eve\"\u202e" + "x" * 200
        with relay.smtp() as client:
            client.ehlo()
            self.assertEqual(client.docmd("AUTH", "PLAIN " + self.plain(name, "no"))[0], 535)
        denied = wait_for(lambda: next((event for event in relay.events() if event["event"] == "auth.denied"), None), 20, relay.log_tail)
        self.assertTrue(denied["user"].startswith("eve\""))
        self.assertLess(len(denied["user"]), 200)

    @staticmethod
    def plain(user, password):
        import base64
        return base64.b64encode(f"\0{user}\0{password}".encode()).decode()

    def test_an_empty_password_is_refused(self):
        for text in ("", "\n"):
            status, output, errors = self.run_hedwig("hash-password", text=text)
            self.assertEqual((status, output), (2, ""))
            self.assertIn("write one line to standard input", errors)

    def test_dkim_generate_says_which_option_is_wrong(self):
        status, _, errors = self.run_hedwig("dkim-generate", "--domain", "not a domain", "--selector", "s")
        self.assertEqual(status, 2)
        self.assertRegex(errors, r'--domain "not a domain" is no host name: write ')

    def test_help_lists_what_is_offered(self):
        relay = self.relay()
        with relay.smtp() as client:
            client.ehlo()
            text = client.docmd("HELP")[1].decode()
        self.assertNotIn("STARTTLS", text)
        self.assertNotIn("AUTH", text)


if __name__ == "__main__":
    main()
