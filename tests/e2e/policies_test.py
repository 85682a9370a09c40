# SPDX-License-Identifier: Apache-2.0
"""Limits of clients: how many connections, how much mail, and how long they may take; and who is let off."""
import contextlib
import itertools
import socket
import time

from hedwig_harness import PATIENCE, Case, free_port, host, main, make_certificate, wait_for


class Talk:
    """A client by hand: says a line, hears a reply."""

    def __init__(self, address, port, source=None):
        self.socket = socket.create_connection((address, port), timeout=60 * PATIENCE,
                                               source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")
        self.greeting = self.reply()

    def reply(self):
        line = self.stream.readline().decode()
        while line[3:4] == "-":
            line = self.stream.readline().decode()
        return line.strip()

    def say(self, line):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def mail(self, sender="a@example.test", recipients=1):
        """The replies to one message, up to the first that is no success."""
        lines = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<b{n}@example.net>" for n in range(recipients)), "DATA",
                 "Subject: x\r\n\r\nbody\r\n."]
        for line in lines:
            answer = self.say(line)
            if answer[0] not in "23":
                self.say("RSET")
                break
        return answer

    def close(self):
        self.stream.close()
        self.socket.close()


class Policies(Case):
    def limited(self, *policies, listener=None, more=(), **server):
        relay = self.relay(start=False)
        entry = {"addr": f"{relay.address}:{relay.port}", "name": "in", "relay_from": ["127.0.0.0/8"], **(listener or {})}
        relay.write_config({"server": {"listeners": [entry, *more], "policies": list(policies), "disable_outbound": True, **server}})
        relay.start()
        # The look at its greeting was a connection like any other: it counts for its own address alone.
        self.relay_ = relay
        return relay

    def talk(self, number=2, hello=True):
        talk = self.opened(Talk(self.relay_.address, self.relay_.port, host(number)))
        if hello and talk.greeting.startswith("220"):
            talk.say("EHLO client.example")
        return talk

    def greeting(self, number=2):
        talk = self.talk(number, hello=False)
        talk.close()
        return talk.greeting

    def hits(self, limit):
        return self.relay_.metrics().get(f'hedwig_limit_hits_total{{limit="{limit}"}}', 0)

    def test_connections_of_one_address_are_counted_while_they_last(self):
        self.limited({"networks": [f"{host(2)}/32"], "connections": 0}, {"connections": 2})
        one, _ = self.talk(3), self.talk(3)
        self.assertEqual(self.greeting(3), "421 4.7.0 Too many connections from you, try again later")
        self.assertEqual(self.greeting(4)[:3], "220", "another address")
        self.assertEqual([self.talk(2).greeting[:3] for _ in range(5)], ["220"] * 5, "the first entry that fits lets it off")
        self.assertEqual(self.hits("policies.address.connections"), 1)
        event, = [event for event in self.relay_.events() if event["event"] == "session.limited"]
        self.assertEqual((event["peer"].rpartition(":")[0], event["limit"]), (host(3), "policies.address.connections"))
        one.say("QUIT")
        wait_for(lambda: self.greeting(3)[:3] == "220", 60, self.relay_.log_tail)

    def test_a_client_that_expects_tls_is_refused_without_a_word_in_clear_text(self):
        certificate, key = make_certificate(self.folder)
        port = free_port()
        self.limited({"connections": 1}, more=[{"addr": f"{host()}:{port}", "name": "tls", "relay_from": ["127.0.0.0/8"],
                                               "tls": {"cert_path": certificate, "key_path": key, "mode": "implicit"}}])
        self.talk(3)
        with socket.create_connection((host(), port), timeout=60 * PATIENCE, source_address=(host(3), 0)) as refused:
            self.assertEqual(refused.recv(100), b"", "not a greeting in clear text, which it would take for broken TLS")
        self.assertEqual(self.hits("policies.address.connections"), 1)

    def test_connections_of_one_network_and_of_one_listener(self):
        self.limited({"per": "network", "connections": 3}, {"per": "listener", "connections": 100})
        wait_for(lambda: self.relay_.metric("hedwig_connections") == 0, 60, self.relay_.log_tail)
        talks = [self.talk(number) for number in (2, 3, 4)]
        self.assertEqual(self.greeting(5)[:9], "421 4.7.0")
        self.assertEqual(self.hits("policies.network.connections"), 1)
        for talk in talks:
            talk.close()
        self.relay_.write_config({"server": {"policies": [{"per": "listener", "listeners": ["in"], "connections": 2}]}})
        self.relay_.signal(1)
        wait_for(lambda: "config.reloaded" in self.relay_.log_text(), 60, self.relay_.log_tail)
        wait_for(lambda: self.relay_.metric("hedwig_connections") == 0, 60, self.relay_.log_tail)
        _ = self.talk(2), self.talk(3)
        self.assertEqual(self.greeting(4)[:9], "421 4.7.0")
        self.assertEqual(self.hits("policies.listener.connections"), 1)

    def test_new_connections_a_minute(self):
        self.limited({"connections_per_minute": 3})
        self.assertEqual([self.greeting(3)[:3] for _ in range(4)], ["220"] * 3 + ["421"])
        self.assertEqual(self.greeting(3), "421 4.7.0 Too many new connections from you, try again later")
        self.assertEqual(self.greeting(4)[:3], "220")

    def test_messages_and_recipients_of_an_address_are_counted_over_its_sessions(self):
        self.limited({"messages_per_minute": 2, "recipients_per_day": 5})
        talk = self.talk(3)
        self.assertEqual(talk.mail(recipients=6), "452 4.7.1 Too many recipients from you, try again later")
        self.assertEqual([talk.mail()[:3] for _ in range(2)], ["250"] * 2)
        self.assertEqual(self.talk(3).mail(), "450 4.7.1 Too many messages from you, try again later")
        self.assertEqual(self.talk(4).mail(recipients=5)[:3], "250")
        self.assertEqual(self.hits("policies.address.messages_per_minute"), 1)
        self.assertEqual(self.hits("policies.address.recipients_per_day"), 1)

    def test_who_has_logged_in_counts_as_a_user_and_not_by_address(self):
        self.limited({"messages_per_minute": 1}, {"per": "user", "messages_per_minute": 2, "connections": 2},
                     listener={"allow_auth_in_clear": True},
                     auth=[{"username": "ann", "password": "right"}, {"username": "bob", "password": "right"}])
        ann, bob = "AUTH PLAIN AGFubgByaWdodA==", "AUTH PLAIN AGJvYgByaWdodA=="
        first, second, third = self.talk(3), self.talk(3), self.talk(4)
        self.assertEqual([first.say(ann)[:3], second.say(ann)[:3], third.say(ann)[:9]], ["235", "235", "421 4.7.0"])
        self.assertEqual([first.mail()[:3], second.mail()[:3], first.mail()[:3]], ["250", "250", "450"])
        self.assertEqual(first.say("QUIT")[:3], "221")
        wait_for(lambda: self.talk(4).say(ann)[:3] == "235", 60, self.relay_.log_tail)
        other = self.talk(3)
        self.assertEqual([other.say(bob)[:3], other.mail()[:3]], ["235", "250"])
        self.assertEqual(self.talk(3).mail()[:3], "250", "users did not count for the address")

    def test_sender_domains_by_their_names(self):
        self.limited({"per": "sender_domain", "sender_domains": ["*.free.example"], "messages_per_minute": 0},
                     {"per": "sender_domain", "sender_domains": ["*.example"], "messages_per_minute": 1})
        talk = self.talk(3)
        got = [talk.mail(sender)[:3] for sender in ("a@one.example", "b@ONE.example", "a@two.example", "a@x.free.example",
                                                    "a@x.free.example", "a@other.test", "a@other.test", "", "")]
        self.assertEqual(got, ["250", "450", "250", "250", "250", "250", "250", "250", "250"])

    def test_sizes_recipients_and_errors_of_some_clients(self):
        self.limited({"networks": [f"{host(3)}/32"], "max_message_size": 2048, "max_recipients": 2, "max_errors": 1})
        talk = self.talk(3)
        self.assertEqual(talk.say("MAIL FROM:<a@b.test> SIZE=2049")[:9], "552 5.3.4")
        self.assertEqual(talk.mail(recipients=3)[:9], "452 4.5.3")
        self.assertEqual(talk.say("NONSENSE")[:9], "421 4.7.0")
        other = self.talk(4)
        self.assertEqual(other.say("MAIL FROM:<a@b.test> SIZE=2049")[:3], "250")

    def test_strangers_have_limits_without_any_policy_and_relay_from_has_none(self):
        self.limited(listener={"relay_from": [f"{host(2)}/32"]})
        self.assertEqual([self.talk(3, hello=False).greeting[:3] for _ in range(51)], ["220"] * 50 + ["421"])
        self.assertEqual({self.talk(2, hello=False).greeting[:3] for _ in range(60)}, {"220"})
        self.assertEqual(self.greeting(4)[:3], "220")

    # time

    def ends(self, talk, trickle=b""):
        """What the client hears at last, while it goes on sending `trickle` bit by bit."""
        octets = itertools.cycle(trickle) if trickle else None
        talk.socket.settimeout(0.05)
        heard, deadline = b"", time.monotonic() + 60 * PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                more = talk.socket.recv(1000)
                if not more:
                    return heard.decode().strip()
                heard += more
            if octets:
                with contextlib.suppress(OSError):
                    talk.socket.sendall(bytes([next(octets)]))
        raise AssertionError("it was never ended")

    def test_octets_that_trickle_in_do_not_move_a_deadline(self):
        self.limited(cmd_timeout="1s", data_timeout="1s", greeting_timeout="1s")
        late = "421 4.4.2 Timeout, closing connection"
        self.assertEqual(self.ends(self.talk(3, hello=False), b"NOOP "), late)
        self.assertEqual(self.hits("server.cmd_timeout"), 1)
        talk = self.talk(3)
        for line in ("MAIL FROM:<a@example.test>", "RCPT TO:<b@example.net>", "DATA"):
            talk.say(line)
        self.assertEqual(self.ends(talk, b"text\r\n"), late)
        self.assertEqual(self.hits("server.data_timeout"), 1)

    def test_who_never_says_hello_and_who_stays_for_ever(self):
        self.limited(greeting_timeout="1s", session_timeout="2s")
        self.assertEqual(self.ends(self.talk(3, hello=False), b"NOOP\r\n").splitlines()[-1], "421 4.4.2 Timeout, closing connection")
        self.assertEqual(self.ends(self.talk(3), b"NOOP\r\n").splitlines()[-1], "421 4.4.2 Session is too long, connect again")
        self.assertEqual([self.hits("server.greeting_timeout"), self.hits("server.session_timeout")], [1, 1])

    # no room

    def shed(self):
        return self.relay_.metrics().get('hedwig_connections_shed_total{listener="in"}', 0)

    def test_strangers_make_room_the_worst_first_and_who_has_logged_in_stays(self):
        # The relay looks at its own greeting from host 1, as a stranger who is gone when the test begins.
        self.limited({"connections": 0, "connections_per_minute": 0}, max_connections=4, listener={
            "relay_from": [f"{host(2)}/32"], "allow_auth_in_clear": True}, auth=[{"username": "ann", "password": "right"}])
        wait_for(lambda: self.relay_.metric("hedwig_connections") == 0, 60, self.relay_.log_tail)
        user, old, bad, new = (self.talk(number) for number in (3, 4, 5, 6))
        self.assertEqual(user.say("AUTH PLAIN AGFubgByaWdodA==")[:3], "235")
        self.assertEqual(bad.say("NONSENSE")[:3], "500")
        gone = "421 4.3.2 Too busy for strangers now, try again later"
        self.assertEqual(self.talk(7).greeting[:3], "220", "a stranger, for the one who made a mistake")
        self.assertEqual(bad.reply(), gone)
        wait_for(lambda: self.relay_.metric("hedwig_connections") == 4, 60, self.relay_.log_tail)
        self.assertEqual(self.greeting(8)[:9], "421 4.7.0", "another, and nobody did anything wrong")
        known = self.talk(2)
        self.assertEqual(known.greeting[:3], "220")
        wait_for(lambda: self.relay_.metric("hedwig_connections") == 4, 60, self.relay_.log_tail)
        self.assertEqual(self.shed(), 2)
        again = self.talk(2)
        self.assertEqual((again.greeting[:3], new.reply()), ("220", gone))
        wait_for(lambda: self.relay_.metric("hedwig_connections") == 4, 60, self.relay_.log_tail)
        third = self.talk(2)
        self.assertEqual((third.greeting[:3], old.reply()), ("220", gone))
        wait_for(lambda: self.relay_.metric("hedwig_connections") == 4, 60, self.relay_.log_tail)
        self.assertEqual(self.greeting(2)[:9], "421 4.7.0", "there is no stranger left")
        self.assertEqual({one.say("NOOP")[:3] for one in (user, known, again, third)}, {"250"})
        self.assertEqual(self.shed(), 4)


if __name__ == "__main__":
    main()
