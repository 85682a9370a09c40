# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: the relay under test, and the real servers it talks to.

Each test process has a loopback network of its own, 127.x.y.0/24 drawn from its process id, so that tests run side by
side; host(n) is address n there. Nothing sleeps for a guessed time: everything waits for a condition with a deadline.
"""
import contextlib
import email
import email.policy
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HEDWIG_BUILD_DIR") or ROOT / "build" / "dev").resolve()
PLUGINS = pathlib.Path(os.environ.get("HEDWIG_PLUGIN_DIR") or BUILD / "lib" / "hedwig" / "plugins").resolve()
# Stretches every deadline below. Nothing waits for one but what fails, so the default is for a machine that does much else;
# valgrind needs more.
PATIENCE = float(os.environ.get("HEDWIG_TEST_PATIENCE", "4"))
STORES = ("rocksdb", "fs")
SBIN = "/usr/sbin"


def program(name):
    path = BUILD / "bin" / name
    if not path.exists():
        raise unittest.SkipTest(f"{path} is not built")
    return str(path)


def tool(name, package):
    """The path of a foreign program; the test is skipped, with the reason printed, where it is absent."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + os.pathsep + SBIN)
    if not path:
        skip(f"{name} is not installed (package {package})")
    return path


def skip(reason):
    print(f"SKIP: {reason}", file=sys.stderr, flush=True)
    raise unittest.SkipTest(reason)


def need_root(what):
    if os.geteuid() != 0:
        skip(f"{what} needs root")


def host(number=1):
    """Address `number` (1 to 254) of this process's own loopback network."""
    identity = os.getpid() + 4096
    return f"127.{1 + (identity >> 8) % 254}.{identity % 256}.{number}"


_given = set()


def free_port(address=None):
    """A port that nobody listens on, and none that was given before: two calls must not name one port."""
    while True:
        with socket.socket() as one:
            one.bind((address or host(), 0))
            port = one.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def wait_for(condition, timeout, what, every=0.02):
    """Waits until condition() is truthy and gives its value back; fails with `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout * PATIENCE:g} s in vain for {what() if callable(what) else what}")
        time.sleep(every)


# --- configuration --------------------------------------------------------------------------------------------------


def _toml_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    return json.dumps(str(value))


def _toml_key(key):
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def to_toml(table, prefix=""):
    """A dict as TOML: dicts become tables, lists of dicts arrays of tables."""
    simple, nested = [], []
    for key, value in table.items():
        name = f"{prefix}{_toml_key(key)}"
        if value is None:
            continue
        if isinstance(value, dict):
            nested.append(f"\n[{name}]\n" + to_toml(value, name + "."))
        elif isinstance(value, (list, tuple)) and value and all(isinstance(item, dict) for item in value):
            nested.extend(f"\n[[{name}]]\n" + to_toml(item, name + ".") for item in value)
        else:
            simple.append(f"{_toml_key(key)} = {_toml_value(value)}\n")
    return "".join(simple + nested)


def merge(base, changes):
    """base with changes laid over it, table by table; None removes a key."""
    result = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


# --- the relay ------------------------------------------------------------------------------------------------------


class Hedwig:
    """One relay with a spool, a config and sockets of its own.

    `config` (a dict, see merge()) is laid over the defaults below. start() returns when the relay greets; stop() asks it
    to end and insists on exit status 0. Use it as a context manager, or through Case.relay()."""

    def __init__(self, folder, config=None, next_hop=None, store="rocksdb", environment=None):
        self.executable = program("hedwig")
        self.folder = pathlib.Path(folder)
        self.address = host()
        self.port = free_port(self.address)
        self.metrics_port = free_port(self.address)
        self.health_port = free_port(self.address)
        self.spool = self.folder / "spool"
        self.socket = self.folder / "admin.sock"
        self.log_path = self.folder / "hedwig.log"
        self.config_path = self.folder / "hedwig.toml"
        self.environment = environment or {}
        self.process = None
        self._log_position = 0
        base = {
            "log": {"level": "info", "format": "json"},
            "server": {
                "hostname": "relay.example.test",
                "metrics": {"bind": f"{self.address}:{self.metrics_port}"},
                "health": {"bind": f"{self.address}:{self.health_port}"},
                "listeners": [{"addr": f"{self.address}:{self.port}"}],
            },
            "storage": {"storage_type": store, "base_path": str(self.spool)},
            "queue": {"disk_reserve_bytes": 16 << 20},
            "admin": {"socket": str(self.socket)},
            "plugins": {"directories": [str(PLUGINS)]},
        }
        if next_hop:
            base["routes"] = [{"domains": ["*"], "to": [next_hop]}]
        self.config = merge(base, config or {})

    def write_config(self, changes=None):
        if changes:
            self.config = merge(self.config, changes)
        self.config_path.write_text(to_toml(self.config))

    def command(self, *arguments):
        return [program("hedwig"), *arguments, "-c", str(self.config_path)]

    def spawn(self, wrapper=()):
        """Starts the program and does not wait for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.config_path.exists():
            self.write_config()
        self.spool.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self._log_position = log.tell()
            self.process = subprocess.Popen(
                [*wrapper, self.executable, "-c", str(self.config_path)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, env={**os.environ, **self.environment}, cwd=self.folder)
        return self

    def start(self, timeout=20, wrapper=()):
        self.spawn(wrapper)
        wait_for(self._greets, timeout, lambda: "the greeting of hedwig\n" + self.log_tail())
        return self

    def _greets(self):
        if self.process.poll() is not None:
            raise AssertionError(f"hedwig ended with {self.process.returncode} instead of starting\n{self.log_tail()}")
        try:
            with socket.create_connection((self.address, self.port), timeout=60) as probe:
                return probe.recv(3) == b"220"
        except OSError:
            return False

    def stop(self, timeout=30, expect=0):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.ended(timeout, expect)

    def ended(self, timeout=30, expect=0):
        """Waits for its end, which something else has brought about, and insists on the exit status."""
        try:
            status = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"hedwig did not end within {timeout} s\n{self.log_tail()}") from None
        self.process = None
        if status != expect:
            raise AssertionError(f"hedwig ended with {status}, not {expect}\n{self.log_tail()}")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def signal(self, number):
        self.process.send_signal(number)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.kill() if kind else self.stop()

    # what it says

    def log_text(self, since_start=False):
        data = self.log_path.read_bytes() if self.log_path.exists() else b""
        return data[self._log_position if since_start else 0:].decode(errors="replace")

    def log_tail(self, lines=60):
        return "---- log of hedwig ----\n" + "\n".join(self.log_text().splitlines()[-lines:]) + "\n----"

    def events(self, since_start=False):
        """The log's JSON lines as dicts; lines that are not JSON (a library's, a sanitizer's) are left out."""
        found = []
        for line in self.log_text(since_start).splitlines():
            if line.startswith("{"):
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def deliveries(self, **fields):
        """The events `email delivery` whose fields equal those given."""
        return [event for event in self.events()
                if "smtp_response" in event and all(event.get(key) == value for key, value in fields.items())]

    def wait_delivery(self, timeout=20, **fields):
        return wait_for(lambda: self.deliveries(**fields), timeout,
                        lambda: f"a delivery attempt with {fields}\n{self.log_tail()}", 0.05)

    # how to talk to it

    def smtp(self, port=None, timeout=240, source=None):
        return smtplib.SMTP(self.address, port or self.port, local_hostname="client.example.test", timeout=timeout,
                            source_address=(source, 0) if source else None)

    def submit(self, message=None, sender="alice@example.test", recipients=("bob@example.net",), **kwargs):
        """One message through smtplib; gives back what the server answered to the recipients it refused."""
        with self.smtp(**kwargs) as client:
            return client.sendmail(sender, list(recipients), message or plain_message(sender, recipients[0]))

    def admin(self, *arguments, check=True, as_json=True, timeout=30):
        """hedwig-admin; its --json answer as Python values."""
        command = [program("hedwig-admin"), "--socket", str(self.socket), *(["--json"] if as_json else []), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout * PATIENCE, stdin=subprocess.DEVNULL)
        if not check:
            return done
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}\n{self.log_tail()}")
        return json.loads(done.stdout) if as_json else done.stdout

    def queue(self, *arguments):
        """The messages of `queue list`, whatever the list is wrapped in."""
        answer = self.admin("queue", "list", *arguments)
        if isinstance(answer, dict):
            answer = next((value for value in answer.values() if isinstance(value, list)), [])
        return answer

    def http(self, path, port):
        try:
            with urllib.request.urlopen(f"http://{self.address}:{port}{path}", timeout=10 * PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def metrics(self):
        """Metric values by name with labels, as /metrics has them."""
        # It is opened after the listeners.
        wait_for(lambda: listening(self.address, self.metrics_port), 20, self.log_tail)
        values = {}
        for line in self.http("/metrics", self.metrics_port)[1].splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                values[name] = float(value)
        return values

    def metric(self, name):
        """The sum over all label values of a metric."""
        return sum(value for key, value in self.metrics().items() if key.split("{")[0] == name)

    def resident_kib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0


# --- messages and certificates --------------------------------------------------------------------------------------


def plain_message(sender="alice@example.test", recipient="bob@example.net", subject="hello", body="Hello.\r\n", extra=""):
    return (f"From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: {subject}\r\nDate: Mon, 01 Jan 2024 00:00:00 +0000\r\n"
            f"Message-ID: <{time.monotonic_ns()}.{os.getpid()}@client.example.test>\r\n{extra}\r\n{body}")


def parse(data):
    return email.message_from_bytes(data, policy=email.policy.default)


def body_of(data):
    """What stands after the header, byte for byte."""
    return data.partition(b"\r\n\r\n")[2]


def make_certificate(folder, name="relay.example.test", addresses=()):
    """A self-signed certificate for name; gives (certificate path, key path)."""
    folder = pathlib.Path(folder)
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    alternatives = ",".join([f"DNS:{name}", *(f"IP:{address}" for address in addresses)])
    subprocess.run([tool("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName={alternatives}",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)
    key.chmod(0o600)
    return str(certificate), str(key)


def trusting(certificate):
    """A client's TLS settings that trust this one certificate and check the name."""
    return ssl.create_default_context(cafile=certificate)


def generate_key(folder, domain="example.test", selector="mail", key_type="rsa"):
    """A key pair by `hedwig dkim-generate`: (private key path, DNS name, TXT record as octets)."""
    path = pathlib.Path(folder) / f"{selector}.{domain}.pem"
    done = subprocess.run([program("hedwig"), "dkim-generate", "--domain", domain, "--selector", selector, "--private-key",
                           str(path), "--key-type", key_type], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=120 * PATIENCE)
    if done.returncode != 0:
        raise AssertionError(f"dkim-generate ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return str(path), *txt_record(done.stdout, f"{selector}._domainkey.{domain}")


def txt_record(text, name):
    """(name, record) of a TXT record printed as a zone file has it, its strings joined."""
    if name not in text:
        raise AssertionError(f"no record for {name} in\n{text}")
    after = text[text.index(name):].split("\n\n")[0]
    strings = re.findall(r'"([^"]*)"', after)
    joined = "".join(strings) if strings else re.search(r"v=DKIM1[^\n]*", after).group(0)
    return name, re.search(r"v=DKIM1.*", joined).group(0).encode()


# --- next hops ------------------------------------------------------------------------------------------------------


class Received:
    """One message as a Sink took it."""

    def __init__(self, session, envelope):
        self.peer = session.peer
        self.helo = session.host_name
        self.tls = session.ssl is not None
        self.sender = "" if envelope.mail_from == "<>" else envelope.mail_from
        self.recipients = list(envelope.rcpt_tos)
        self.options = list(envelope.mail_options)
        self.data = envelope.original_content if envelope.original_content is not None else envelope.content

    @property
    def message(self):
        return parse(self.data)

    def __repr__(self):
        return f"<{self.sender} to {self.recipients}, {len(self.data)} octets>"


class Sink:
    """A next hop made of aiosmtpd, scripted by functions.

    on_rcpt(address, sink) and on_data(received, sink) give the reply as text, or None for the usual one, or "DROP" to cut
    the connection there. `messages` is what was accepted; wait(n) waits for that."""

    def __init__(self, address=None, port=None, on_mail=None, on_rcpt=None, on_data=None, certificate=None,
                 size_max=64 << 20, hostname="sink.example.net"):
        from aiosmtpd.controller import Controller

        self.address = address or host()
        self.port = port or free_port(self.address)
        self.messages = []
        self.seen = []  # every message whose final dot was seen, accepted or not
        self.attempts = 0
        self.changed = threading.Condition()
        self.on_mail, self.on_rcpt, self.on_data = on_mail, on_rcpt, on_data
        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
        self.controller = Controller(self, hostname=self.address, port=self.port, tls_context=context,
                                     server_hostname=hostname, data_size_limit=size_max, enable_SMTPUTF8=True,
                                     command_call_limit=1_000_000)
        self.controller.start()

    @property
    def next_hop(self):
        return f"{self.address}:{self.port}"

    def close(self):
        self.controller.stop(no_assert=True)

    def _answer(self, server, text):
        if text == "DROP":
            server.transport.abort()
            return "421 4.4.2 cut"
        return text

    async def handle_MAIL(self, server, session, envelope, address, options):
        reply = self.on_mail(address, self) if self.on_mail else None
        if reply:
            return self._answer(server, reply)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 ok"

    async def handle_RCPT(self, server, session, envelope, address, options):
        reply = self.on_rcpt(address, self) if self.on_rcpt else None
        if reply:
            return self._answer(server, reply)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        received = Received(session, envelope)
        with self.changed:
            self.seen.append(received)
            self.attempts += 1
            reply = self.on_data(received, self) if self.on_data else None
            if reply is None or reply.startswith("2"):
                self.messages.append(received)
            self.changed.notify_all()
        return self._answer(server, reply) if reply else "250 2.0.0 taken"

    def wait(self, count=1, timeout=20, relay=None):
        """The accepted messages, when there are `count` of them."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.messages) >= count, timeout * PATIENCE):
                tail = "\n" + relay.log_tail() if relay else ""
                raise AssertionError(f"{len(self.messages)} of {count} messages within {timeout} s{tail}")
            return list(self.messages)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Background:
    """A foreign server run in the foreground of its own process group, its output in a file."""

    def __init__(self, command, log, ready, timeout=20, environment=None):
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                            env={**os.environ, **(environment or {})}, start_new_session=True)
        try:
            wait_for(lambda: self._check(ready), timeout, lambda: f"{command[0]}\n{self.text()}")
        except BaseException:
            self.close()
            raise

    def _check(self, ready):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.process.args[0]} ended with {self.process.returncode}\n{self.text()}")
        return ready()

    def text(self):
        return self.log.read_text(errors="replace")

    def close(self, timeout=10):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def listening(address, port, greets=False):
    try:
        with socket.create_connection((address, port), timeout=60) as probe:
            return probe.recv(3) == b"220" if greets else True
    except OSError:
        return False


class NextHop:
    """A server by hand, for what no real one does: `talk(connection)` has each connection, on a thread of its own."""

    def __init__(self, address=None):
        self.listener = socket.create_server((address or host(), 0), backlog=128)
        self.next_hop = "%s:%d" % self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            self.talk(connection)

    def close(self):
        self.listener.close()


class SmtpSink:
    """Postfix's smtp-sink; count() is how many messages it took, as it says itself."""

    def __init__(self, folder, address=None, port=None, options=("-c",)):
        self.address = address or host()
        self.port = port or free_port(self.address)
        user = [] if os.geteuid() != 0 else ["-u", "nobody"]
        self.server = Background([tool("smtp-sink", "postfix"), *user, *options, f"{self.address}:{self.port}", "1024"],
                                 pathlib.Path(folder) / "smtp-sink.log", lambda: listening(self.address, self.port))

    @property
    def next_hop(self):
        return f"{self.address}:{self.port}"

    def count(self):
        # -c prints "sess=1 quit=1 mesg=1" over and over on one line.
        found = re.findall(r"mesg=(\d+)", self.server.text())
        return int(found[-1]) if found else 0

    def close(self):
        self.server.close()


class Postfix:
    """A whole Postfix of its own: config, queue and log under folder. As root only.

    smtpd listens on address:port and takes mail from loopback for everywhere. It relays to `relayhost` where that is
    given; otherwise everything is delivered to one mbox file (messages())."""

    def __init__(self, folder, relayhost=None, address=None, port=None, settings=None):
        need_root("Postfix")
        tool("postfix", "postfix")
        self.folder = pathlib.Path(folder)
        self.address = address or host()
        self.port = port or free_port(self.address)
        self.etc, queue, data = self.folder / "etc", self.folder / "queue", self.folder / "data"
        self.mail = self.folder / "mail"
        for path in (self.etc, queue, data, self.mail):
            path.mkdir(parents=True)
        # Its daemons run as the user postfix, who must be able to walk down to here.
        for path in [self.folder, *self.folder.parents]:
            if not path.stat().st_mode & 0o1:
                path.chmod(path.stat().st_mode | 0o055)
        self.user = pwd.getpwnam("postfix")
        nobody = pwd.getpwnam("nobody")
        os.chown(data, self.user.pw_uid, self.user.pw_gid)
        os.chown(self.mail, nobody.pw_uid, nobody.pw_gid)
        values = {
            "compatibility_level": "3.6", "queue_directory": queue, "data_directory": data,
            "command_directory": SBIN, "daemon_directory": "/usr/lib/postfix/sbin", "mail_owner": "postfix",
            "setgid_group": "postdrop", "maillog_file": self.folder / "mail.log", "maillog_file_prefixes": "/",
            "myhostname": "postfix.example.org", "mydestination": "", "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4", "mynetworks": "127.0.0.0/8", "smtpd_relay_restrictions": "permit_mynetworks,reject",
            "alias_maps": "", "alias_database": "", "local_recipient_maps": "", "smtp_tls_security_level": "none",
            "smtp_host_lookup": "native", "smtp_dns_support_level": "disabled", "message_size_limit": 64 << 20,
            "mailbox_size_limit": 0, "virtual_mailbox_limit": 0, "biff": "no", "disable_dns_lookups": "yes",
            "minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s",
            "default_process_limit": 60, "smtpd_client_connection_count_limit": 0, "smtp_bind_address": self.address,
            "shlib_directory": "/usr/lib/postfix", "meta_directory": "/etc/postfix",
        }
        if relayhost:
            values["relayhost"] = relayhost
        else:
            values |= {"default_transport": "virtual", "virtual_transport": "virtual", "virtual_mailbox_domains": "static:all",
                       "virtual_mailbox_base": self.mail, "virtual_mailbox_maps": "static:inbox",
                       "virtual_uid_maps": f"static:{nobody.pw_uid}", "virtual_gid_maps": f"static:{nobody.pw_gid}",
                       "virtual_minimum_uid": 1}
        values |= settings or {}
        (self.etc / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in values.items()))
        services = [f"{self.address}:{self.port} inet n - n - - smtpd", "cleanup unix n - n - 0 cleanup",
                    "pickup unix n - n 60 1 pickup", "qmgr unix n - n 300 1 qmgr", "rewrite unix - - n - - trivial-rewrite",
                    "bounce unix - - n - 0 bounce", "defer unix - - n - 0 bounce", "trace unix - - n - 0 bounce",
                    "verify unix - - n - 1 verify", "flush unix n - n 1000? 0 flush", "proxymap unix - - n - - proxymap",
                    "smtp unix - - n - - smtp", "relay unix - - n - - smtp", "showq unix n - n - - showq",
                    "error unix - - n - - error", "retry unix - - n - - error", "discard unix - - n - - discard",
                    "local unix - n n - - local", "virtual unix - n n - - virtual", "anvil unix - - n - 1 anvil",
                    "scache unix - - n - 1 scache", "tlsmgr unix - - n 1000? 1 tlsmgr",
                    "postlog unix-dgram n - n - 1 postlogd"]
        (self.etc / "master.cf").write_text("\n".join(services) + "\n")
        done = subprocess.run([tool("postfix", "postfix"), "-c", self.etc, "start"], capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"postfix does not start: {done.stdout}{done.stderr}{self.log_text()}")
        wait_for(lambda: listening(self.address, self.port, greets=True), 20, lambda: "postfix\n" + self.log_text())

    @property
    def next_hop(self):
        return f"{self.address}:{self.port}"

    def master_pid(self):
        return int((self.folder / "queue" / "pid" / "master.pid").read_text())

    def log_text(self):
        path = self.folder / "mail.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def messages(self):
        """What was delivered to the mbox, parsed."""
        import mailbox

        path = self.mail / "inbox"
        if not path.exists():
            return []
        with contextlib.closing(mailbox.mbox(path)) as box:
            return list(box)

    def close(self):
        subprocess.run([tool("postfix", "postfix"), "-c", self.etc, "abort"], capture_output=True, check=False)


class Nsd:
    """Authoritative DNS: zones is {"example.net": "zone file text without SOA and NS", ...}; None serves SERVFAIL."""

    def __init__(self, folder, zones, address=None, port=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address = address or host(53)
        self.port = port or free_port(self.address)
        lines = [f'server:\n  ip-address: {self.address}@{self.port}\n  username: ""\n  chroot: ""\n  zonesdir: "{self.folder}"\n'
                 f'  pidfile: "{self.folder}/nsd.pid"\n  database: ""\n  xfrdfile: "{self.folder}/xfrd"\n'
                 f'  zonelistfile: "{self.folder}/zones"\n  hide-version: yes\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n']
        for name, text in zones.items():
            if text is not None:
                (self.folder / f"{name}.zone").write_text(
                    f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns.{name}. hostmaster.{name}. 1 3600 600 86400 5\n@ NS ns.{name}.\n"
                    f"ns A {self.address}\n{text}\n")
            lines.append(f'zone:\n  name: {name}\n  zonefile: {name}.zone\n')
        (self.folder / "nsd.conf").write_text("".join(lines))
        self.server = Background([tool("nsd", "nsd"), "-d", "-c", self.folder / "nsd.conf"], self.folder / "nsd.log",
                                 lambda: listening(self.address, self.port))

    def close(self):
        self.server.close()


class Unbound:
    """A resolver that knows the zones of one authoritative server and nothing else."""

    def __init__(self, folder, zones, authority, address=None, port=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address = address or host(54)
        self.port = port or free_port(self.address)
        stubs = "".join(f'stub-zone:\n  name: "{name}"\n  stub-addr: {authority.address}@{authority.port}\n' for name in zones)
        (self.folder / "unbound.conf").write_text(
            f'server:\n  interface: {self.address}@{self.port}\n  username: ""\n  chroot: ""\n  directory: "{self.folder}"\n'
            f'  pidfile: ""\n  use-syslog: no\n  do-not-query-localhost: no\n  module-config: "iterator"\n  do-daemonize: no\n'
            f'  access-control: 127.0.0.0/8 allow\n  local-zone: "test." nodefault\n  do-ip6: no\n  so-reuseport: no\n'
            f'  root-hints: ""\n  num-threads: 1\n{stubs}'
            f'remote-control:\n  control-enable: no\n')
        self.server = Background([tool("unbound", "unbound"), "-d", "-c", self.folder / "unbound.conf"],
                                 self.folder / "unbound.log", lambda: listening(self.address, self.port))

    def close(self):
        self.server.close()


# --- the test case --------------------------------------------------------------------------------------------------


class Case(unittest.TestCase):
    """A test with a folder of its own. What it starts through the methods below is ended after it, relays with the
    demand that they end well; when it fails, their logs are printed."""

    maxDiff = None

    def setUp(self):
        # Short, since the path of a Unix socket has at most 107 octets.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hw-"))
        self.addCleanup(self._remove)
        self._relays = []
        self._numbers = 0

    def _remove(self):
        if os.environ.get("HEDWIG_TEST_KEEP"):
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        self._numbers += 1
        return self.folder / f"{name}{self._numbers}"

    def opened(self, thing):
        self.addCleanup(thing.close)
        return thing

    def relay(self, config=None, next_hop=None, start=True, **kwargs):
        relay = Hedwig(self.path("relay"), config, next_hop, **kwargs)
        relay.folder.mkdir(parents=True)
        self._relays.append(relay)
        self.addCleanup(self._end, relay)
        if start:
            relay.start()
        return relay

    def _failed(self):
        result = self._outcome.result
        return any(test is self for test, _ in result.failures + result.errors)

    def _end(self, relay):
        if relay.process is None:
            return
        if self._failed():
            print(f"\n{self.id()}: {relay.log_tail(120)}", file=sys.stderr)
            relay.kill()
        else:
            relay.stop()

    def sink(self, **kwargs):
        return self.opened(Sink(**kwargs))


def load(address, port, messages, connections=20, size=1024, sender="load@example.test", recipient="sink@example.net",
         extra=(), timeout=300):
    """Postfix's smtp-source; gives back the seconds it took. Fails when it fails."""
    started = time.monotonic()
    command = [tool("smtp-source", "postfix"), "-s", str(connections), "-m", str(messages), "-l", str(size), "-f", sender,
               "-t", recipient, *extra, f"{address}:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout * PATIENCE, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.monotonic() - started


def main():
    unittest.main(verbosity=2)
