# SPDX-License-Identifier: Apache-2.0
"""Plugins that do wrong: mail flows or waits as the operator said, nothing is lost, and log and console say which plugin,
which call and why."""
import hashlib
import json
import os
import pathlib
import pwd
import shutil
import signal
import smtplib
import subprocess

from hedwig_harness import (BUILD, PLUGINS, Case, main, make_certificate, need_root, plain_message, program, skip,
                            trusting, wait_for)

TEST_PLUGINS = pathlib.Path(os.environ.get("HEDWIG_TEST_PLUGINS") or BUILD / "tests" / "plugins")
FOLDERS = {"directories": [str(PLUGINS), str(TEST_PLUGINS)]}


class Contained(Case):
    """A relay with filter-bad, which does wrong while the file `fault` is there."""

    def setUp(self):
        super().setUp()
        self.fault = self.folder / "fault"
        self.fault.touch()

    def relay_with(self, fault, on_failure="tempfail", relay=None, **keys):
        self.hop = self.sink()
        settings = {"use": "bad", "fault": fault, "while_there": str(self.fault), "on_failure": on_failure,
                    "call_timeout": "300ms", "breaker_failures": 3, "breaker_delay": "1h", **keys}
        return self.relay({"filters": [settings], "plugins": FOLDERS}, next_hop=self.hop.next_hop, **(relay or {}))

    def code_of(self, relay, subject="x"):
        """What the client hears after the final dot."""
        try:
            relay.submit(plain_message(subject=subject))
            return 250
        except smtplib.SMTPDataError as refused:
            return refused.smtp_code
        except smtplib.SMTPRecipientsRefused as refused:
            return refused.recipients["bob@example.net"][0]

    def shown(self, relay, instance="filter.bad"):
        return next(one for one in relay.admin("plugins")["plugins"] if one["instance"] == instance)

    def told(self, relay, event, **fields):
        return wait_for(lambda: [one for one in relay.events() if one.get("event") == event and
                                 all(one.get(key) == value for key, value in fields.items())], 20,
                        lambda: f"the event {event} with {fields}\n{relay.log_tail()}")


class Filters(Contained):
    def judge(self, fault, kind, call="on_end", **keys):
        """Tempfail for a while, then the breaker opens; what was refused is taken later, none of it twice."""
        relay = self.relay_with(fault, **keys)
        for _ in range(4):
            self.assertEqual(self.code_of(relay), 451)
        self.told(relay, "filter.failed", filter="filter.bad", call=call, on_failure="tempfail")
        self.told(relay, "provider.breaker-open", provider="filter.bad", call=call)
        shown = self.shown(relay)
        self.assertEqual(shown["failures"][kind], 3, shown)
        self.assertGreaterEqual(shown["failures"]["refused"], 1)
        self.assertEqual(shown["breaker"]["state"], "open")
        self.assertTrue(shown["breaker"]["until"])
        self.assertEqual(shown["last_failure"]["call"], call)
        self.assertEqual(relay.metrics()['hedwig_provider_breaker_state{provider="filter.bad"}'], 1)
        text = relay.admin("plugins", as_json=False)
        self.assertIn("OPEN", text)
        self.assertIn(f"{call} failed", text)
        self.assertEqual(self.hop.messages, [])
        self.assertEqual(relay.queue(), [])
        return relay

    def test_one_that_answers_with_errors(self):
        self.judge("error", "error")

    def test_one_that_gives_an_unknown_verdict(self):
        self.judge("unknown-verdict", "malformed")

    def test_one_whose_reply_would_break_the_dialogue(self):
        relay = self.judge("malformed-reply", "malformed")
        self.assertNotIn("250 yes", relay.admin("plugins", as_json=False))

    def test_one_that_asks_for_an_unknown_change(self):
        self.judge("unknown-edit", "malformed")

    def test_one_that_asks_for_a_change_too_early(self):
        self.judge("edit-too-early", "malformed", call="on_recipient")

    def test_one_that_never_answers(self):
        relay = self.judge("leak", "timeout")
        self.assertEqual(self.shown(relay)["in_flight"], 3)

    def test_one_that_hangs_on_threads_of_its_own(self):
        relay = self.judge("hang", "timeout", isolation="thread")
        self.assertEqual(self.shown(relay)["isolation"], "thread")

    def test_one_that_answers_twice_is_told_of_and_its_first_answer_counts(self):
        relay = self.relay_with("double")
        self.assertEqual(self.code_of(relay), 250)
        self.told(relay, "provider.false-completion", provider="filter.bad")
        self.assertEqual(self.shown(relay)["failures"]["false_completion"], 1)
        self.assertEqual(len(self.hop.wait(1)), 1)

    def test_mail_passes_where_the_operator_said_accept(self):
        relay = self.relay_with("unknown-verdict", on_failure="accept")
        for number in range(5):
            self.assertEqual(self.code_of(relay, f"number {number}"), 250)
        messages = self.hop.wait(5, relay=relay)
        self.assertEqual(sorted(one.message["Subject"] for one in messages), [f"number {n}" for n in range(5)])
        self.assertTrue(all(one.message["X-Filtered"] is None for one in messages))
        self.told(relay, "filter.failed", on_failure="accept")

    def test_mail_is_refused_where_the_operator_said_reject(self):
        relay = self.relay_with("leak", on_failure="reject", breaker_failures=1)
        self.assertEqual([self.code_of(relay), self.code_of(relay)], [554, 554])
        self.assertEqual(relay.queue(), [])

    def test_after_its_rest_one_call_tries_it_and_mail_flows_again(self):
        relay = self.relay_with("error", breaker_delay="200ms")
        for _ in range(3):
            self.assertEqual(self.code_of(relay), 451)
        self.told(relay, "provider.breaker-open", call="on_end")
        self.fault.unlink()
        wait_for(lambda: self.code_of(relay) == 250, 20, "mail to flow again")
        self.told(relay, "provider.breaker-closed", provider="filter.bad")
        self.assertEqual(self.shown(relay)["breaker"]["state"], "closed")
        self.assertEqual(self.hop.wait(1)[0].message["X-Filtered"], "yes")

    def test_one_that_owes_too_many_answers_is_not_asked(self):
        relay = self.relay_with("leak", breaker_failures=0, max_calls=2)
        self.assertEqual([self.code_of(relay) for _ in range(3)], [451] * 3)
        shown = self.shown(relay)
        self.assertEqual((shown["in_flight"], shown["in_flight_limit"]), (2, 2))
        self.assertGreaterEqual(shown["failures"]["busy"], 1)
        self.assertEqual(shown["breaker"]["state"], "off")


class Crashes(Contained):
    def judge(self, fault, name, *lines):
        """What had its 250 before a plugin took the relay down is delivered after a restart."""
        relay = self.relay_with(fault, relay={"start": False})
        relay.config["outbound"] = {"paused": True}
        self.fault.unlink()
        relay.start()
        for number in range(5):
            relay.submit(plain_message(subject=f"number {number}"))
        self.fault.touch()
        with self.assertRaises((smtplib.SMTPException, OSError)):
            relay.submit(plain_message(subject="never acknowledged"))
        relay.ended(expect=-getattr(signal, name))
        text = relay.log_text()
        for line in (f"({name},", *lines):
            self.assertIn(line, text)
        self.fault.unlink()
        relay.config["outbound"] = {"paused": False}
        relay.write_config()
        relay.start()
        got = {one.message["Subject"] for one in self.hop.wait(5, relay=relay)}
        wait_for(lambda: not relay.queue(), 30, "an empty queue")
        self.assertEqual(got, {f"number {number}" for number in range(5)})

    def test_a_bad_address_is_reported_with_plugin_call_and_file(self):
        self.judge("crash", "SIGSEGV", "address 0x0", "in the plugin filter.bad, call on_end",
                   f"the code is in {TEST_PLUGINS / 'filter-bad.so'} at 0x")

    def test_a_plugin_that_gives_up_is_reported(self):
        self.judge("abort", "SIGABRT", "in the plugin filter.bad, call on_end")

    def test_a_crash_on_a_thread_of_the_plugins_own_is_in_no_call(self):
        self.judge("throw-on-a-thread", "SIGABRT", "the thread was in no plugin's call")


class Isolated(Contained):
    """The same in processes of their own: the relay lives on."""

    def relay_apart(self, fault, on_failure="tempfail", **keys):
        return self.relay_with(fault, on_failure, isolation="process", **{"breaker_failures": 0, **keys})

    def process(self, relay, instance="filter.bad"):
        return self.shown(relay, instance)["process"]

    def judge(self, fault, how):
        """Its process is gone, the relay is not, and mail flows once the fault is gone."""
        relay = self.relay_apart(fault)
        first = self.process(relay)["pid"]
        self.assertEqual(self.code_of(relay), 451)
        died = self.told(relay, "provider.process-died", provider="filter.bad")[0]
        self.assertIn(how, died["how"])
        self.told(relay, "filter.failed", filter="filter.bad", call="on_end")
        self.fault.unlink()
        wait_for(lambda: self.code_of(relay, "after") == 250, 20, "mail to flow again")
        self.assertEqual(self.hop.wait(1)[0].message["X-Filtered"], "yes")
        shown = self.process(relay)
        self.assertNotEqual(shown["pid"], first)
        self.assertGreaterEqual(shown["deaths"], 1)
        self.assertIsNone(relay.process.poll())
        self.assertIn("was started again", relay.admin("plugins", as_json=False))
        return relay

    def test_one_that_works_sees_and_changes_what_it_would_at_home(self):
        relay = self.relay_apart("none")
        for number in range(20):
            self.assertEqual(self.code_of(relay, f"number {number}"), 250)
        messages = self.hop.wait(20, relay=relay)
        self.assertEqual([one.message.get_all("X-Filtered") for one in messages], [["yes"]] * 20)
        pid = self.process(relay)["pid"]
        relay.stop()
        self.assertFalse(pathlib.Path(f"/proc/{pid}").exists(), "it outlived the relay")

    def test_one_that_crashes(self):
        relay = self.judge("crash", "signal 11")
        self.assertIn("hedwig-plugin-host: the thread was in the plugin filter.bad, call on_end", relay.log_text())
        self.assertIn("hedwig-plugin-host: the relay goes on without it", relay.log_text())
        self.assertNotIn("start again. If it comes back", relay.log_text())

    def test_one_that_hangs(self):
        self.judge("hang", "not answered long after their deadline")

    def test_one_that_never_answers(self):
        relay = self.judge("leak", "not answered long after their deadline")
        self.assertEqual([one for one in relay.events() if one.get("event") == "plugin.log"], [],
                         "the deadline is told of twice")

    def test_one_that_answers_twice_is_told_of_and_its_first_answer_counts(self):
        relay = self.relay_apart("double")
        self.assertEqual(self.code_of(relay), 250)
        self.told(relay, "provider.false-completion", provider="filter.bad")
        self.assertEqual(self.shown(relay)["failures"]["false_completion"], 1)
        self.assertEqual(len(self.hop.wait(1)), 1)

    def test_one_that_says_what_cannot_be_read(self):
        self.judge("garble", "cannot be read")

    def test_one_that_would_fill_the_relay_with_names_of_metrics(self):
        self.judge("long-metric", "cannot be read")

    def test_one_that_answers_as_if_another_question_had_been_asked(self):
        self.judge("lie", "as if it had been asked something else")

    def test_one_that_answers_nonsense_is_refused_and_lives(self):
        relay = self.relay_apart("unknown-verdict")
        pid = self.process(relay)["pid"]
        self.assertEqual(self.code_of(relay), 451)
        self.told(relay, "filter.failed", filter="filter.bad", call="on_end")
        self.assertEqual(self.process(relay)["pid"], pid)
        wait_for(lambda: self.shown(relay)["failures"]["malformed"] == 1, 60, "what the fault was")
        self.assertEqual(self.shown(relay)["failures"]["error"], 0)

    def test_mail_passes_while_it_keeps_crashing_where_the_operator_said_accept(self):
        relay = self.relay_apart("crash", on_failure="accept", breaker_failures=3)
        for number in range(10):
            self.assertEqual(self.code_of(relay, f"number {number}"), 250)
        got = sorted(one.message["Subject"] for one in self.hop.wait(10, relay=relay))
        self.assertEqual(got, [f"number {number}" for number in range(10)])

    def test_it_dies_with_a_relay_that_is_killed(self):
        relay = self.relay_apart("none")
        pid = self.process(relay)["pid"]
        relay.kill()
        gone = pathlib.Path(f"/proc/{pid}/stat")
        wait_for(lambda: not gone.exists() or gone.read_text().rpartition(")")[2].split()[0] == "Z", 20, "its end")

    def test_it_runs_as_another_user_who_cannot_become_more(self):
        need_root("isolation_user")
        nobody = pwd.getpwnam("nobody")
        if subprocess.run(["setpriv", "--reuid", "nobody", "--clear-groups", "test", "-r", TEST_PLUGINS / "filter-bad.so"],
                          check=False).returncode != 0:
            skip("the build folder is not open to the user nobody")
        relay = self.relay_apart("none", isolation_user="nobody")
        status = pathlib.Path(f"/proc/{self.process(relay)['pid']}/status").read_text()
        self.assertRegex(status, rf"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}")
        self.assertRegex(status, r"NoNewPrivs:\t1")
        self.assertRegex(status, r"CapEff:\t0+\n")
        self.fault.unlink()
        self.assertEqual(self.code_of(relay), 250)

    def test_a_plugin_that_does_not_say_that_it_can_is_refused(self):
        relay = self.relay({"filters": [{"use": "later", "isolation": "process"}], "plugins": FOLDERS}, start=False)
        relay.spool.mkdir()
        relay.write_config()
        done = subprocess.run(relay.command("check"), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 2)
        self.assertIn("HEDWIG_PROVIDER_ISOLATABLE", done.stderr)


class Files(Contained):
    def listed(self, *arguments):
        done = subprocess.run([program("hedwig"), "plugin", "list", "--json", *arguments], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        return {pathlib.Path(one["file"]).name: one for one in json.loads(done.stdout)["plugins"]}

    def check(self, filters, directories):
        """What `hedwig check` says of a configuration with these."""
        relay = self.relay({"filters": filters, "plugins": {"directories": [str(PLUGINS), *directories]}}, start=False)
        relay.spool.mkdir()
        relay.write_config()
        done = subprocess.run(relay.command("check"), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return done.returncode, done.stderr

    def folder_with_plugin(self):
        folder = self.path("plugins")
        folder.mkdir()
        return folder, pathlib.Path(shutil.copy(TEST_PLUGINS / "filter-bad.so", folder / "filter-bad.so"))

    def test_a_file_with_the_name_of_another_provider_is_told_what_it_offers(self):
        folder, good = self.folder_with_plugin()
        good.rename(folder / "filter-other.so")
        code, said = self.check([{"use": "other"}], [str(folder)])
        self.assertEqual(code, 2)
        self.assertIn('filter-other.so offers no filter provider "other" (it offers the filter provider "bad", which is looked '
                      'for in filter-bad.so', said)

    def test_a_misspelt_key_of_the_relay_s_own_is_recognised_beside_the_plugin_s(self):
        code, said = self.check([{"use": "bad", "while_there": "/nowhere", "fault": "none", "on_failur": "accept"}], [str(TEST_PLUGINS)])
        self.assertEqual(code, 2)
        self.assertIn('unknown key "on_failur": did you mean "on_failure"?', said)

    def test_the_list_says_what_is_there_and_what_is_unusable_and_why(self):
        folder, good = self.folder_with_plugin()
        (folder / "filter-text.so").write_text("#!/bin/sh\n")
        writable = pathlib.Path(shutil.copy(good, folder / "filter-writable.so"))
        writable.chmod(0o666)
        elsewhere, target = self.folder_with_plugin()
        (folder / "filter-link.so").symlink_to(target)
        found = self.listed("--directory", str(folder))
        self.assertEqual({name: one["usable"] for name, one in found.items()},
                         {"filter-bad.so": True, "filter-text.so": False, "filter-writable.so": False, "filter-link.so": False})
        self.assertEqual(found["filter-bad.so"]["id"], "org.hedwig.test-bad-filter")
        self.assertEqual(found["filter-bad.so"]["sha256"], hashlib.sha256(good.read_bytes()).hexdigest())
        self.assertIn("not a shared object", found["filter-text.so"]["why_not"])
        self.assertIn("chmod o-w", found["filter-writable.so"]["why_not"])
        self.assertIn("in no plugin folder", found["filter-link.so"]["why_not"])

    def test_a_file_that_is_not_the_pinned_one_is_refused_before_it_runs(self):
        folder, file = self.folder_with_plugin()
        right = hashlib.sha256(file.read_bytes()).hexdigest()
        self.assertEqual(self.check([{"use": "bad", "sha256": right.upper()}], [str(folder)])[0], 0)
        status, text = self.check([{"use": "bad", "sha256": "0" * 64}], [str(folder)])
        self.assertEqual(status, 2)
        self.assertIn(f"has the SHA-256 {right}", text)
        status, text = self.check([{"use": "bad", "sha256": "abc"}], [str(folder)])
        self.assertEqual(status, 2)
        self.assertIn("is no SHA-256", text)

    def test_a_pinned_filter_works(self):
        pin = hashlib.sha256((TEST_PLUGINS / "filter-bad.so").read_bytes()).hexdigest()
        relay = self.relay_with("none", sha256=pin)
        self.assertEqual(self.code_of(relay), 250)
        self.assertEqual(self.hop.wait(1)[0].message["X-Filtered"], "yes")

    def test_two_instances_of_one_file_need_the_same_pin(self):
        folder, file = self.folder_with_plugin()
        status, text = self.check([{"use": "bad"}, {"use": "bad", "name": "second", "sha256": "0" * 64}], [str(folder)])
        self.assertEqual(status, 2)
        self.assertIn("has the SHA-256", text)


class Directories(Contained):
    """auth-bad, asked for everybody; its failures are 454, never 535."""

    def relay_with_auth(self, fault, **keys):
        certificate, key = make_certificate(self.folder)
        settings = {"use": "bad", "fault": fault, "while_there": str(self.fault), "call_timeout": "300ms",
                    "breaker_failures": 3, "breaker_delay": "1h", **keys}
        relay = self.relay({"auth": [settings], "plugins": FOLDERS}, next_hop="127.0.0.1:9", start=False)
        relay.config["server"]["listeners"][0] |= {
            "tls": {"cert_path": certificate, "key_path": key, "mode": "starttls"}, "require_auth": True}
        relay.start()
        self.context = trusting(certificate)
        return relay

    def login(self, relay, password="right"):
        with relay.smtp() as client:
            client._host = "relay.example.test"
            client.starttls(context=self.context)
            client.ehlo()
            try:
                return client.login("ada", password)[0]
            except smtplib.SMTPAuthenticationError as refused:
                return refused.smtp_code

    def judge(self, fault, kind, **keys):
        relay = self.relay_with_auth(fault, **keys)
        self.assertEqual([self.login(relay) for _ in range(4)], [454] * 4)
        self.told(relay, "auth.unavailable", provider="auth.bad")
        self.told(relay, "provider.breaker-open", provider="auth.bad", call="verify_password")
        shown = self.shown(relay, "auth.bad")
        self.assertEqual((shown["failures"][kind], shown["breaker"]["state"]), (3, "open"), shown)
        return relay

    def test_one_that_says_yes_without_saying_to_whom(self):
        self.judge("nobody", "malformed")

    def test_one_that_never_answers(self):
        self.judge("leak", "timeout")

    def test_one_that_hangs_on_threads_of_its_own(self):
        self.judge("hang", "timeout", isolation="thread")

    def test_one_that_crashes_in_a_process_of_its_own(self):
        relay = self.relay_with_auth("crash", isolation="process", breaker_failures=0)
        self.assertEqual(self.login(relay), 454)
        self.told(relay, "provider.process-died", provider="auth.bad")
        self.fault.unlink()
        wait_for(lambda: self.login(relay) == 235, 20, "logins to work again")
        self.assertEqual(self.login(relay, "wrong"), 535)

    def test_wrong_passwords_are_answers_and_never_open_the_breaker(self):
        relay = self.relay_with_auth("none", breaker_failures=1)
        self.assertEqual([self.login(relay, "wrong") for _ in range(2)], [535] * 2)
        self.assertEqual(self.login(relay), 235)
        self.assertEqual(self.shown(relay, "auth.bad")["breaker"]["state"], "closed")


if __name__ == "__main__":
    main()
