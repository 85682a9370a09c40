# SPDX-License-Identifier: Apache-2.0
"""What `make install` puts where, and that it works from there."""
import os
import re
import stat
import subprocess

from hedwig_harness import BUILD, Case, main, tool


class Install(Case):
    def setUp(self):
        super().setUp()
        self.root = self.folder / "root"
        done = subprocess.run([tool("cmake", "cmake"), "--install", BUILD], capture_output=True, text=True,
                              env={**os.environ, "DESTDIR": str(self.root)}, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        cache = (BUILD / "CMakeCache.txt").read_text()
        self.prefix = self.root / re.search(r"(?m)^CMAKE_INSTALL_PREFIX:PATH=(.*)$", cache).group(1).lstrip("/")

    def test_everything_is_there(self):
        for name in ("hedwig", "hedwig-admin", "hedwig-sink", "hedwig-plugin-host"):
            path = self.prefix / "bin" / name
            self.assertTrue(path.stat().st_mode & stat.S_IXUSR, name)
        for name in ("storage-rocksdb", "storage-fs", "auth-static", "auth-ldap", "auth-oauth", "auth-sql", "filter-domain"):
            self.assertTrue((self.prefix / "lib" / "hedwig" / "plugins" / f"{name}.so").is_file(), name)
        for name in ("hedwig.h", "plugin.h", "storage.h", "auth.h", "filter.h", "hedwig.hpp"):
            self.assertTrue((self.prefix / "include" / "hedwig" / name).is_file(), name)
        for pattern in ("hedwig.toml", "hedwig.service", "hedwig.socket", "hedwig*.pc", "*Config.cmake"):
            self.assertTrue(list(self.root.rglob(pattern)), pattern)
        strange = [path for path in self.root.rglob("*") if path.is_file() and path.stat().st_mode & 0o022]
        self.assertEqual(strange, [], "writable by others")

    def test_another_prefix_holds_all_of_it_so_that_nobody_has_to_be_root(self):
        root = self.folder / "other"
        done = subprocess.run([tool("cmake", "cmake"), "--install", BUILD, "--prefix", "/home/ada/hedwig"], capture_output=True, text=True,
                              env={**os.environ, "DESTDIR": str(root)}, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        ours = root / "home/ada/hedwig"
        self.assertTrue((ours / "etc/hedwig/hedwig.toml").is_file())
        self.assertEqual([path for path in root.rglob("*") if path.is_file() and ours not in path.parents], [])

    def test_the_installed_configuration_passes_the_check(self):
        config, = self.root.rglob("etc/hedwig/hedwig.toml")
        done = subprocess.run([self.prefix / "bin" / "hedwig", "check", "-c", config], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_plugin_compiles_against_the_installed_sdk(self):
        pkg_config, = [path.parent for path in self.root.rglob("hedwig*.pc")]
        name = next(pkg_config.glob("hedwig*.pc")).stem
        flags = subprocess.run([tool("pkg-config", "pkg-config"), "--cflags", name], capture_output=True, text=True, check=True,
                               env={**os.environ, "PKG_CONFIG_PATH": str(pkg_config), "PKG_CONFIG_SYSROOT_DIR": str(self.root),
                                    "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1"}).stdout.split()
        for language, standard, header in (("c", "c99", "hedwig.h"), ("c++", "c++20", "hedwig.hpp")):
            with self.subTest(language=language):
                done = subprocess.run(["g++" if language == "c++" else "gcc", "-x", language, f"-std={standard}", "-Wall", "-Wextra",
                                       "-Wpedantic", "-Werror", "-fsyntax-only", *flags, "-"], input=f"#include <hedwig/{header}>\n",
                                      capture_output=True, text=True, timeout=300)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_examples_pass_the_check_where_their_files_are(self):
        examples = [path for path in self.root.rglob("examples/*.toml") if "hedwig-sdk" not in path.parts]
        self.assertTrue(examples)
        for example in examples:
            with self.subTest(example=example.name):
                done = subprocess.run([self.prefix / "bin" / "hedwig", "check", "-c", example], capture_output=True, text=True, timeout=300)
                # Certificates and keys that an example names are not on this machine; nothing else may be wrong.
                wrong = [line for line in (done.stdout + done.stderr).splitlines()
                         if re.search(r"\.toml:\d+:\d+:", line) and "warning" not in line and not re.search(r"/etc/|No such file|cannot be read", line)]
                self.assertEqual(wrong, [])


if __name__ == "__main__":
    main()
