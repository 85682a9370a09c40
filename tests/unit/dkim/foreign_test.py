# SPDX-License-Identifier: Apache-2.0
"""dkimpy verifies what the signer signs; OpenSSL makes the keys that it loads."""
import base64
import os
import shutil
import subprocess
import tempfile
import unittest

import dkim

TOOL = os.path.join(os.environ["HEDWIG_BUILD_DIR"], "bin", "dkim_sign_for_test")
PRINTABLE = bytes(range(33, 127))

MESSAGES = {
    "plain": b"From: Ann <ann@a.test>\r\nTo: bob@b.test\r\nSubject: hello\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
             b"Message-ID: <1@a.test>\r\n\r\nHello.\r\n",
    "no body": b"From: ann@a.test\r\n\r\n",
    "body of empty lines": b"From: ann@a.test\r\nSubject: x\r\n\r\n\r\n\r\n\r\n",
    "trailing white space": b"From: ann@a.test  \r\nSubject:   a  \t b \r\n\r\na  b \t\r\n\t c\t \r\n \r\n\r\n  \r\n",
    "folded fields": b"From: Ann\r\n\t <ann@a.test>\r\nSubject: one\r\n two\r\n\tthree\r\n \r\n four\r\nTo: a@b.test,\r\n\t"
                     b"c@d.test,\r\n  e@f.test\r\n\r\nbody\r\n",
    "two From fields": b"From: eve@e.test\r\nSubject: x\r\nFrom: ann@a.test\r\n\r\nbody\r\n",
    "repeated fields": b"Received: by x\r\nReceived: by y\r\nTo: a\r\nFrom: ann@a.test\r\nTo: b\r\nCC: c\r\ncc: d\r\n\r\nbody\r\n",
    "8-bit": "From: Änn <ann@a.test>\r\nSubject: Grüße\r\n\r\nGrüße \xa0 \r\n".encode(),
    "latin1": b"From: ann@a.test\r\nSubject: x\r\n\r\n\xe4\xf6\xfc\xff\x00\r\n",
    "names in odd case": b"FROM: ann@a.test\r\nsUbJeCt: x\r\nDATE: y\r\n\r\nbody\r\n",
    "list fields": b"From: ann@a.test\r\nList-Id: <l.a.test>\r\nList-Unsubscribe: <https://a.test/u>\r\n"
                   b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nbody\r\n",
    "empty fields": b"From: ann@a.test\r\nSubject:\r\nTo: \r\nReferences: \r\n\r\nbody\r\n",
    "long lines": b"From: ann@a.test\r\nSubject: " + b"x" * 900 + b"\r\n\r\n" + b"y" * 5000 + b"\r\n",
    "large": b"From: ann@a.test\r\nSubject: x\r\n\r\n" + b"".join(PRINTABLE[i % 60:] + b" \t" + b"\r\n" * (i % 4 + 1) for i in range(9000)),
    "dots": b"From: ann@a.test\r\n\r\n.\r\n..\r\n.x\r\n",
}


def run(*arguments, stdin=b""):
    done = subprocess.run([TOOL, *arguments], input=stdin, capture_output=True, timeout=60)
    return done.returncode, done.stdout


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Keys:
    """Key files, and the DNS that dkimpy sees."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.records = {}

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def publish(self, selector, file):
        code, out = run("key", file)
        assert code == 0, out
        self.records[selector + "._domainkey.a.test."] = out.splitlines()[0]

    def txt(self, name, timeout=5):
        return self.records.get(name.decode() if isinstance(name, bytes) else name)


class SignaturesVerify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.keys = Keys()
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", cls.keys.path("rsa"))
        openssl("genpkey", "-algorithm", "ed25519", "-out", cls.keys.path("ed"))
        cls.keys.publish("r", cls.keys.path("rsa"))
        cls.keys.publish("e", cls.keys.path("ed"))

    def sign(self, message):
        code, out = run("sign", "a.test", "r=" + self.keys.path("rsa"), "e=" + self.keys.path("ed"), stdin=message)
        self.assertEqual(code, 0, out)
        return out

    def verifies(self, message, index):
        try:
            return dkim.DKIM(message).verify(idx=index, dnsfunc=self.keys.txt)
        except dkim.ValidationError:
            return False

    def test_both_signatures_of_every_message(self):
        for name, message in MESSAGES.items():
            with self.subTest(name):
                fields = self.sign(message)
                self.assertEqual(fields.count(b"DKIM-Signature:"), 2)
                self.assertTrue(self.verifies(fields + message, 0), "RSA")
                self.assertTrue(self.verifies(fields + message, 1), "Ed25519")

    def test_the_judge_sees_a_change(self):
        message = MESSAGES["plain"]
        fields = self.sign(message)
        for changed in (message.replace(b"Hello.", b"Hullo."), message + b"more\r\n", message.replace(b"hello", b"hallo"),
                        b"From: eve@e.test\r\n" + message, b"Subject: other\r\n" + message, b"Cc: eve@e.test\r\n" + message,
                        b"Content-Type: text/html\r\n" + message):
            with self.subTest(changed):
                self.assertFalse(self.verifies(fields + changed, 0))
                self.assertFalse(self.verifies(fields + changed, 1))

    def test_what_relays_may_change_does_not_break_it(self):
        message = MESSAGES["plain"]
        fields = self.sign(message)
        softened = b"Received: by next\r\n" + fields + message.replace(b"Subject: hello", b"subject:\r\n\thello  ") + b"\r\n\r\n"
        self.assertTrue(self.verifies(softened, 0))
        self.assertTrue(self.verifies(softened, 1))


class KeysLoad(unittest.TestCase):
    def setUp(self):
        self.keys = Keys()
        self.file = self.keys.path("key")

    def outcome(self):
        os.chmod(self.file, 0o600)
        code, out = run("key", self.file)
        return code, out.decode()

    def test_every_form_openssl_writes(self):
        openssl("genrsa", "-traditional", "-out", self.file, "2048")
        code, out = self.outcome()
        self.assertEqual(code, 0, out)
        der = subprocess.run(["openssl", "pkey", "-in", self.file, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        self.assertEqual(out.splitlines(), ["v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode()])

    def test_a_key_with_text_around_it(self):
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.file)
        with open(self.file) as file:
            text = file.read()
        with open(self.file, "w") as file:
            file.write("# our key\n\n" + text + "\n")
        self.assertEqual(self.outcome()[0], 0)

    def test_refusals_say_why(self):
        cases = {
            "passphrase": ["genpkey", "-algorithm", "RSA", "-aes256", "-pass", "pass:secret", "-out", self.file],
            "encrypted": ["genrsa", "-traditional", "-aes256", "-passout", "pass:secret", "-out", self.file, "2048"],
            "ECDSA": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.file],
            "768 bits": ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:768", "-out", self.file],
        }
        for reason, command in cases.items():
            with self.subTest(reason):
                openssl(*command)
                code, out = self.outcome()
                self.assertEqual(code, 1)
                self.assertIn(reason, out)
                self.assertTrue(out.startswith(self.file), out)

    def test_no_permission(self):
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.file)
        os.chmod(self.file, 0o000)
        if os.geteuid() != 0:
            code, out = run("key", self.file)
        else:  # root reads everything: be nobody for this one
            os.chmod(self.keys.folder.name, 0o755)
            tool = shutil.copy(TOOL, self.keys.folder.name)  # the folder of the build may be closed to others
            done = subprocess.run([tool, "key", self.file], capture_output=True, user=65534, group=65534, extra_groups=[])
            code, out = done.returncode, done.stdout
        self.assertEqual(code, 1)
        self.assertIn(b"no permission", out)

    def test_what_generate_makes_openssl_reads_and_the_record_fits(self):
        for kind in ("rsa", "ed25519"):
            code, out = run("generate", kind)
            self.assertEqual(code, 0)
            pem, record = out.decode().rsplit("-----\n", 1)
            with open(self.file, "w") as file:
                file.write(pem + "-----\n")
            der = subprocess.run(["openssl", "pkey", "-in", self.file, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
            public = der if kind == "rsa" else der[-32:]
            self.assertEqual(record.strip(), f"v=DKIM1; k={kind}; p={base64.b64encode(public).decode()}")


if __name__ == "__main__":
    unittest.main()
