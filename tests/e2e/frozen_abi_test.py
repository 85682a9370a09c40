# SPDX-License-Identifier: Apache-2.0
"""Plugins built from the headers of each ABI that was declared work in today's relay, and today's kit finds nothing."""
import functools
import pathlib
import smtplib
import subprocess
import tempfile

from hedwig_harness import BUILD, PLUGINS, Case, main, plain_message

SDK = pathlib.Path(__file__).resolve().parent.parent.parent / "sdk"
USERS = '[[user]]\nname = "alice"\npassword = "in wonderland"\n'


def frozen():
    """(name, headers, examples) of each declared ABI; before the first one, of today's headers."""
    found = [(one.name, one / "include", one / "examples") for one in sorted((SDK / "abi").glob("[0-9]*.[0-9]*")) if one.is_dir()]
    return found or [("today", SDK / "include", SDK / "examples")]


_kept = tempfile.TemporaryDirectory(prefix="hw-abi-")


@functools.cache
def built(name, headers, examples):
    """The folder of the plugins, made once for all tests. Throws with what the compiler said."""
    folder = pathlib.Path(_kept.name) / f"plugins-{name}"
    folder.mkdir(mode=0o755)
    flags = ["-shared", "-fPIC", "-fvisibility=hidden", "-O1", f"-I{headers}", "-pthread", "-Wl,-z,nodelete,-z,relro,-z,now,-z,defs",
             f"-Wl,--version-script={SDK / 'cmake' / 'hedwig_plugin.map'}"]
    for source, plugin in (("filter_invalid_domain.c", "filter-invalid-domain"), ("auth_example.cpp", "auth-example"),
                           ("filter_recipient_limit.cpp", "filter-recipient-limit"), ("storage_memory.cpp", "storage-memory")):
        compiler = ["gcc", "-std=gnu99"] if source.endswith(".c") else ["g++", "-std=c++20", "-fno-gnu-unique"]
        done = subprocess.run([*compiler, *flags, examples / source, "-o", folder / f"{plugin}.so"], capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
    return folder


class FrozenAbi(Case):
    def test_its_plugins_work_in_the_relay(self):
        for name, headers, examples in frozen():
            with self.subTest(abi=name):
                folder = built(name, headers, examples)
                sink = self.sink()
                relay = self.relay({"plugins": {"directories": [str(folder), str(PLUGINS)]},
                                    "filters": [{"use": "invalid-domain"}, {"use": "recipient-limit", "limit": 2}],
                                    "storage": {"memory": {"memory_max": "16MiB"}}},
                                   next_hop=sink.next_hop, store="memory")
                with self.assertRaises(smtplib.SMTPRecipientsRefused) as refused:
                    relay.submit(recipients=["bob@some.invalid"])
                self.assertEqual(refused.exception.recipients["bob@some.invalid"], (550, b"5.1.2 no such domain"))
                relay.submit(plain_message(), recipients=["bob@example.net"])
                mail, = sink.wait(1, relay=relay)
                self.assertEqual(mail.message["X-Recipient-Count"], "1")
                relay.stop()

    def test_the_kit_finds_nothing(self):
        for name, headers, examples in frozen():
            folder = built(name, headers, examples)
            users, store = self.folder / "users.toml", self.folder / "store.toml"
            users.write_text(USERS)
            store.write_text("[check]\nvolatile = true\n")
            for plugin, more in (("filter-invalid-domain", []), ("filter-recipient-limit", []), ("auth-example", ["--config", users]),
                                 ("storage-memory", ["--config", store, "--only", "binary", "--only", "contract", "--only", "config", "--only", "storage.gives-back"])):
                with self.subTest(abi=name, plugin=plugin):
                    done = subprocess.run([BUILD / "bin" / "hedwig-plugin-check", *more, folder / f"{plugin}.so"],
                                          capture_output=True, text=True, timeout=300)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    main()
