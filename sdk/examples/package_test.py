#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Installs the SDK alone into an empty folder and builds examples in C and in C++ against it, as a plugin author would: once
with the CMake package, once with pkg-config. The plugins must export the entry and nothing else, and load in
hedwig-plugin-check."""
import os
import pathlib
import subprocess
import tempfile

here = pathlib.Path(__file__).resolve().parent
build = os.environ["HEDWIG_BUILD_DIR"]

LISTS = """cmake_minimum_required(VERSION 3.25)
project(mine LANGUAGES C CXX)
find_package(HedwigSDK 1.0 REQUIRED)
hedwig_add_plugin(filter-mine SOURCES filter.c)
hedwig_add_plugin(auth-mine SOURCES auth.cpp)
"""


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def passes(plugin, *settings):
    """hedwig-plugin-check has nothing against it."""
    check = pathlib.Path(build) / "bin" / "hedwig-plugin-check"
    if check.exists():
        run(check, *settings, plugin, timeout=300)


def exported(plugin):
    lines = run("nm", "-D", "--defined-only", str(plugin)).splitlines()
    return sorted(line.split()[2].split("@")[0] for line in lines if line.split()[1] != "A")


with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    prefix = root / "prefix"
    run("cmake", "--install", build, "--prefix", str(prefix), "--component", "sdk")
    source = root / "source"
    source.mkdir()
    (source / "filter.c").write_text((here / "filter_invalid_domain.c").read_text())
    (source / "auth.cpp").write_text((here / "auth_example.cpp").read_text())
    (source / "CMakeLists.txt").write_text(LISTS)
    run("cmake", "-S", str(source), "-B", str(root / "build"), f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DCMAKE_INSTALL_PREFIX={prefix}")
    run("cmake", "--build", str(root / "build"))
    run("cmake", "--install", str(root / "build"))
    users = ["--config", str(here / "auth_example.toml")]
    for name, settings in (("filter-mine", []), ("auth-mine", users)):
        plugin = prefix / f"lib/hedwig/plugins/{name}.so"
        assert exported(plugin) == ["hedwig_plugin_v1"], exported(plugin)
        passes(plugin, *settings)

    environment = dict(os.environ, PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig"))
    answer = run("pkg-config", f"--define-variable=prefix={prefix}", "--cflags", "hedwig-sdk", env=environment)
    assert answer.split() == [f"-I{prefix}/include"], answer
    assert run("pkg-config", "--variable=abi_major", "hedwig-sdk", env=environment).strip() == "1"
    assert run("pkg-config", "--variable=plugindir", "hedwig-sdk", env=environment).strip().endswith("lib/hedwig/plugins")
    libs = run("pkg-config", f"--define-variable=prefix={prefix}", "--libs", "hedwig-sdk", env=environment).split()
    for compiler, name, settings in ((["gcc", "-std=c99"], "filter.c", []), (["g++", "-std=c++20", "-fno-gnu-unique"], "auth.cpp", users)):
        plugin = root / f"plain-{name}.so"
        run(*compiler, "-fPIC", "-fvisibility=hidden", *answer.split(), str(source / name), *libs, "-o", str(plugin))
        assert exported(plugin) == ["hedwig_plugin_v1"], exported(plugin)
        passes(plugin, *settings)

    (source / "CMakeLists.txt").write_text(LISTS.replace("HedwigSDK 1.0", "HedwigSDK 2.0"))
    wrong = subprocess.run(["cmake", "-S", str(source), "-B", str(root / "build2"), f"-DCMAKE_PREFIX_PATH={prefix}"],
                           capture_output=True, text=True)
    assert wrong.returncode != 0, "another major was accepted"
