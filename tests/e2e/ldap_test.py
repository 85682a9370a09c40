# SPDX-License-Identifier: Apache-2.0
"""The relay of config/examples/enterprise-ldap.toml among real servers: slapd, rspamd, and a smart host; and what the relay does
with the rights that a provider gives."""
import base64
import signal
import smtplib
import subprocess
import tomllib

import dkim

from hedwig_harness import (ROOT, Background, Case, Sink, free_port, generate_key, host, listening, main, make_certificate,
                            plain_message, tool, trusting, wait_for)
from rspamd_server import GTUBE, start_rspamd

BASE = "dc=example,dc=com"


def person(uid, password):
    return (f"dn: uid={uid},ou=people,{BASE}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n"
            f"mail: {uid}@example.com\nuserPassword: {password}\n\n")


def group(name, *members):
    lines = "".join(f"member: {member},{BASE}\n" for member in members)
    return f"dn: cn={name},ou=groups,{BASE}\nobjectClass: groupOfNames\ncn: {name}\n{lines}\n"


TREE = (f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n\n"
        + "".join(f"dn: ou={unit},{BASE}\nobjectClass: organizationalUnit\nou: {unit}\n\n"
                  for unit in ("people", "groups", "services"))
        + f"dn: cn=hedwig,ou=services,{BASE}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n"
          "cn: hedwig\nuserPassword: service secret\n\n"
        + person("ada", "lovelace") + person("shop", "shopping") + person("eve", "eavesdrop") + person("guest", "guest")
        + group("analysts", "uid=ada,ou=people", "uid=eve,ou=people") + group("staff", "cn=analysts,ou=groups")
        + group("applications", "uid=shop,ou=people") + group("suspended", "uid=eve,ou=people"))


class Slapd:
    """Debian's slapd over TLS with the tree above."""

    def __init__(self, folder, address, certificate, key):
        self.program = tool("slapd", "slapd")
        self.folder, self.address, self.port = folder, address, free_port(address)
        (folder / "db").mkdir(parents=True)
        schemas = "".join(f"include /etc/ldap/schema/{name}.schema\n" for name in ("core", "cosine", "inetorgperson"))
        (folder / "slapd.conf").write_text(
            f"{schemas}modulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {folder}/pid\n"
            f"TLSCertificateFile {certificate}\nTLSCertificateKeyFile {key}\n"
            f"database mdb\nsuffix {BASE}\nmaxsize 67108864\ndbnosync\ndirectory {folder}/db\nindex objectClass,uid,member eq\n"
            f"access to attrs=userPassword by anonymous auth\n"
            f'access to * by dn.exact="cn=hedwig,ou=services,{BASE}" read\n')
        (folder / "tree.ldif").write_text(TREE)
        subprocess.run([tool("slapadd", "slapd"), "-q", "-w", "-f", folder / "slapd.conf", "-l", folder / "tree.ldif"],
                       check=True, capture_output=True)
        self.start()

    @property
    def url(self):
        return f"ldaps://{self.address}:{self.port}"

    def start(self):
        self.server = Background([self.program, "-f", self.folder / "slapd.conf", "-h", self.url + "/", "-d", "0"],
                                 self.folder / "slapd.log", lambda: listening(self.address, self.port))

    def close(self):
        self.server.close()


class EnterpriseRelay(Case):
    def setUp(self):
        super().setUp()
        self.certificate, self.key = make_certificate(self.folder, "mail.example.com", [host(1), host(2), host(3)])
        self.directory = self.opened(Slapd(self.folder / "slapd", host(2), self.certificate, self.key))
        self.smart_host = self.opened(Sink(address=host(3), certificate=(self.certificate, self.key)))
        (self.folder / "ldap-password").write_text("service secret\n")
        self.dkim_key, _, self.dkim_record = generate_key(self.folder, "example.com", "hedwig")

    def enterprise(self, change=lambda config: None, with_filters=False):
        """The example as it stands, with the places of this test in place of the company's."""
        config = tomllib.loads((ROOT / "config/examples/enterprise-ldap.toml").read_text())
        for listener in config["server"]["listeners"]:
            listener["addr"] = f"{host()}:{free_port(host())}"
            listener["tls"].update(cert_path=self.certificate, key_path=self.key)
        self.submission, self.submissions = (int(listener["addr"].rpartition(":")[2])
                                             for listener in config["server"]["listeners"])
        config["auth"][0].update(servers=[f"ldaps://{host(9)}:9", self.directory.url], ca_file=self.certificate)
        config["auth"][0]["bind_password"] = {"file": str(self.folder / "ldap-password")}
        config["server"]["dkim"][0]["private_key"] = self.dkim_key
        config["routes"][0]["to"] = [self.smart_host.next_hop]
        config["outbound"] = {"ca_file": self.certificate}
        if with_filters:
            config["filters"][0]["milter"][0]["address"] = start_rspamd(self)["address"]
        else:
            del config["filters"]
        for key in ("metrics", "health"):
            del config["server"][key]
        del config["storage"]
        change(config)
        relay = self.relay(config, start=False)
        relay.port = self.submission
        return relay.start()

    def client(self, user=None, password=None, implicit=False):
        context = trusting(self.certificate)
        context.check_hostname = False
        if implicit:
            client = smtplib.SMTP_SSL(host(), self.submissions, timeout=240, context=context)
        else:
            client = smtplib.SMTP(host(), self.submission, timeout=240)
            client.starttls(context=context)
        self.addCleanup(client.close)
        if user:
            client.login(user, password)
        return client

    def refusal(self, client, sender, recipients, message):
        """The code and text of the reply that refused the message."""
        try:
            client.sendmail(sender, recipients, message)
        except smtplib.SMTPRecipientsRefused as error:
            return next(iter(error.recipients.values()))
        except smtplib.SMTPResponseException as error:
            return error.smtp_code, error.smtp_error
        return 250, b""

    def test_mail_goes_the_whole_way_on_both_ports(self):
        relay = self.enterprise(with_filters=True)
        for implicit, user in ((False, "ada"), (True, "ADA@example.com")):
            self.client(user, "lovelace", implicit).sendmail(
                "ada@example.com", ["bob@example.net"], plain_message("ada@example.com", subject=user))
        for one in self.smart_host.wait(2, relay=relay):
            self.assertTrue(one.tls)
            self.assertIn("d=example.com", one.message["DKIM-Signature"])
            self.assertTrue(dkim.verify(one.data, dnsfunc=lambda name, timeout=5: self.dkim_record), one.data[:2000])
            self.assertIn("X-Spamd-Result", one.message)
        spam = plain_message("ada@example.com", body=GTUBE)
        self.assertEqual(self.refusal(self.client("ada", "lovelace"), "ada@example.com", ["bob@example.net"], spam)[0], 554)
        accepted = [event for event in relay.events() if event.get("event") == "message.accepted"]
        self.assertEqual([event["user"] for event in accepted], ["ada", "ada"])

    def test_who_may_not_log_in_hears_no_and_an_outage_is_no_no(self):
        relay = self.enterprise()

        def code(user, password):
            try:
                self.client(user, password)
            except smtplib.SMTPAuthenticationError as error:
                return error.smtp_code
            return 235

        self.assertEqual(code("ada", "lovelace"), 235)
        for user, password in (("ada", "wrong"), ("eve", "eavesdrop"), ("guest", "guest"), ("nobody", "x"), ("*", "lovelace"),
                               ("ada)(uid=*", "lovelace")):
            self.assertEqual(code(user, password), 535, user)
        client = self.client()
        client.ehlo()
        reply = client.docmd("AUTH", "PLAIN " + base64.b64encode(b"\0ada\0").decode())
        self.assertIn(reply[0], (501, 535))
        self.directory.close()
        self.assertEqual(code("ada", "lovelace"), 235)  # the cache knows
        self.assertEqual(code("shop", "shopping"), 454)
        self.assertEqual(code("ada", "another"), 454)
        self.directory.start()
        wait_for(lambda: code("shop", "shopping") == 235, 60, "a login after the directory came back", 0.5)
        self.assertNotIn("service secret", relay.log_text())
        self.assertNotIn("lovelace", relay.log_text().replace("ada)(uid", ""))

    def test_it_works_on_threads_of_its_own_and_in_a_process_apart(self):
        for isolation in ("thread", "process"):
            with self.subTest(isolation=isolation):
                def apart(config):
                    config["auth"][0].update(isolation=isolation, server_rest="100ms", cache_time="0s")
                    self.config = config

                relay = self.enterprise(apart)

                def code(user, password):
                    try:
                        self.client(user, password)
                    except smtplib.SMTPAuthenticationError as error:
                        return error.smtp_code
                    return 235

                ada = self.client("ada", "lovelace")
                ada.sendmail("ada@example.com", ["bob@example.net"], plain_message("ada@example.com"))
                self.assertEqual(self.refusal(ada, "ceo@example.com", ["bob@example.net"], plain_message())[0], 553)
                self.assertEqual([code(*who) for who in (("ada", "wrong"), ("eve", "eavesdrop"), ("nobody", "x"))], [535] * 3)
                self.directory.close()
                self.assertEqual(code("ada", "lovelace"), 454)
                self.directory.start()
                wait_for(lambda: code("ada", "lovelace") == 235, 60, relay.log_tail)
                self.config["auth"][0]["user_filter"] = "(&(uid={user})(uid=shop))"
                relay.write_config(self.config)
                relay.signal(signal.SIGHUP)
                wait_for(lambda: [one for one in relay.events() if one.get("event") == "config.reloaded"], 60, relay.log_tail)
                self.assertEqual([code("ada", "lovelace"), code("shop", "shopping")], [535, 235])
                relay.stop()

    def test_users_send_in_their_own_name_only(self):
        relay = self.enterprise()
        ada = self.client("ada", "lovelace")
        other = plain_message("ceo@example.com")
        own = plain_message("ada@example.com")
        self.assertEqual(self.refusal(ada, "ceo@example.com", ["bob@example.net"], own)[0], 553)
        self.assertEqual(self.refusal(ada, "ada@example.com", ["bob@example.net"], other)[0], 550)
        two = own.replace("To:", "From: <ceo@example.com>\r\nTo:", 1)
        self.assertEqual(self.refusal(ada, "ada@example.com", ["bob@example.net"], two)[0], 550)
        odd = own.replace("From: <ada@example.com>", "From: <ada@example.com> <ceo@example.com>")
        self.assertEqual(self.refusal(ada, "ada@example.com", ["bob@example.net"], odd)[0], 550)
        for hidden in ("ceo@example.com: ada@example.com;", "[ <ceo@example.com> ] <ada@example.com>"):
            odd = own.replace("From: <ada@example.com>", f"From: {hidden}")
            self.assertEqual(self.refusal(ada, "ada@example.com", ["bob@example.net"], odd)[0], 550)
        nobody = own.replace("From: <ada@example.com>", "Sender: <ceo@example.com>")
        self.assertEqual(self.refusal(ada, "ada@example.com", ["bob@example.net"], nobody)[0], 550)
        large = plain_message("ceo@example.com", body="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 10_000)
        self.assertEqual(self.refusal(ada, "ada@example.com", ["bob@example.net"], large)[0], 550)
        self.assertEqual(self.refusal(ada, "ada@example.com", ["bob@example.net"], own)[0], 250)
        self.assertEqual(self.refusal(ada, "", ["bob@example.net"], own)[0], 250)
        shop = self.client("shop", "shopping")
        self.assertEqual(self.refusal(shop, "news@lists.example.com", ["bob@example.net"], other)[0], 250)
        self.assertEqual(self.refusal(shop, "a@example.net", ["bob@example.net"], other)[0], 553)
        self.assertEqual(self.refusal(shop, "a@notexample.com", ["bob@example.net"], other)[0], 553)
        metrics = relay.metrics()
        self.assertEqual(metrics['hedwig_messages_refused_total{reason="sender"}'], 3)
        self.assertEqual(metrics['hedwig_messages_refused_total{reason="from"}'], 7)
        found = [event for event in relay.events() if event.get("event") == "session.foreign-sender"]
        self.assertEqual([event["sender"] for event in found[:2]], ["ceo@example.com", "ceo@example.com"])
        self.assertEqual({event["where"] for event in found}, {"MAIL FROM", "From", "Sender"})
        self.assertEqual(found[0]["user"], "ada")

    def test_a_listener_may_only_log_foreign_senders(self):
        def log_only(config):
            config["server"]["listeners"][0]["sender_policy"] = "log"
            config["server"]["listeners"][1]["sender_policy"] = "off"

        relay = self.enterprise(log_only)
        for implicit in (False, True):
            self.client("ada", "lovelace", implicit).sendmail("ceo@example.com", ["bob@example.net"],
                                                              plain_message("cfo@example.com"))
        self.smart_host.wait(2, relay=relay)
        found = [event for event in relay.events() if event.get("event") == "session.foreign-sender"]
        self.assertEqual([(event["sender"], event["action"]) for event in found],
                         [("ceo@example.com", "accepted"), ("cfo@example.com", "accepted")])

    def test_the_limits_of_a_user_hold_over_all_his_sessions(self):
        def small(config):
            for rule in config["auth"][0]["rule"]:
                if rule["group"] == "staff":
                    rule.update(messages_per_hour=3, recipients_per_day=5, recipients=2, message_size="20KiB", connections=2)

        relay = self.enterprise(small)
        message = plain_message("ada@example.com")
        first, second = self.client("ada", "lovelace"), self.client("ada", "lovelace", implicit=True)
        third = self.client()
        third.ehlo()
        reply = third.docmd("AUTH", "PLAIN " + base64.b64encode(b"\0Ada\0lovelace").decode())
        self.assertEqual(reply[0], 421)
        first.ehlo()
        self.assertEqual(first.esmtp_features["size"], "20480")
        first.mail("ada@example.com")
        self.assertEqual([first.rcpt(f"r{number}@example.net")[0] for number in range(3)], [250, 250, 452])
        first.rset()
        self.assertEqual(first.mail("ada@example.com", ["SIZE=20481"])[0], 552)
        self.assertEqual(self.refusal(second, "ada@example.com", ["bob@example.net"],
                                      plain_message("ada@example.com", body="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 400))[0], 552)
        first.sendmail("ada@example.com", ["a@example.net", "b@example.net"], message)
        second.sendmail("ada@example.com", ["a@example.net", "b@example.net"], message)
        code, text = self.refusal(first, "ada@example.com", ["a@example.net", "b@example.net"], message)
        self.assertEqual(code, 250, text)  # the second recipient only is one too many today
        first.close()
        code, text = self.refusal(second, "ada@example.com", ["a@example.net"], message)
        self.assertEqual(code, 450)
        self.assertIn(b"4.7.1", text)
        self.assertTrue([event for event in relay.events() if event.get("event") == "auth.limited"])
        shop = self.client("shop", "shopping")
        shop.sendmail("shop@example.com", ["a@example.net"], plain_message("shop@example.com"))
        wait_for(lambda: self.try_login("ada", "lovelace"), 30, "a place for another connection of the user")

    def try_login(self, user, password):
        try:
            return self.client(user, password)
        except smtplib.SMTPException:
            return None


if __name__ == "__main__":
    main()
