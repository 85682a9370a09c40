#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the relay, and Postfix beside it in the same run where it is installed (as root).

Four scenarios, each over a number of connections and message sizes, every 250 given after a synced commit:
    accept   mail is taken and nothing delivered (outbound.paused; Postfix: smtpd puts it in its hold queue). The load is
             smtp_load; latency is from the final dot to the 250 as the client sees it. Beside the relay stands what the
             machine allows: raw_limits with groups of as many messages as the relay put into a commit
    remove   as accept, and what was taken is removed again at once: server.disable_outbound (Postfix: its discard transport)
    dialogue as remove, into the SDK's example of a store in memory: what the SMTP dialogue and the actors behind it cost by
             themselves. Never beside Postfix, which has no such store
    relay    mail is taken and delivered to Postfix's smtp-sink; the clock stops when the last message is there. The load
             is Postfix's smtp-source

Connections stay open. CPU is user and system time: of the relay's process
from /proc/PID/stat; of Postfix of master and all its living children, plus what children that ended left in their
parents' account (cutime, cstime). Generator and sink run on the same machine and take their share of it: compare numbers
of one run with each other, not with those of another machine.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", help="build folder (default: $HEDWIG_BUILD_DIR or build/release)")
parser.add_argument("--scenarios", default="accept,relay")
parser.add_argument("--connections", default="1,10,100")
parser.add_argument("--sizes", default="1,10,100", help="message sizes in KiB")
parser.add_argument("--stores", default="rocksdb")
parser.add_argument("--scale", type=float, default=1.0, help="times the usual number of messages")
parser.add_argument("--target", action="store_true", help="only the targets: relaying 10 KiB over 20 connections, "
                    "accepting 10 KiB over 100 with each store")
parser.add_argument("--repeat", type=int, default=1, help="runs of each cell; the median by rate is shown")
parser.add_argument("--no-postfix", action="store_true")
parser.add_argument("--folder", default="/var/tmp", help="where the spools are; on the disk to be measured")
parser.add_argument("--write", metavar="FILE", help="put the tables between the marks of a Markdown file, too")
options = parser.parse_args()
ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ["HEDWIG_BUILD_DIR"] = options.build or os.environ.get("HEDWIG_BUILD_DIR") or str(ROOT / "build" / "release")
os.environ.pop("HEDWIG_PLUGIN_DIR", None)
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from hedwig_harness import Hedwig, Postfix, SmtpSink, load, wait_for  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def times(pid):
    """Seconds of CPU of a process and of its ended children."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICKS


def children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def tree_cpu(pid):
    """Seconds of CPU of a process and all below it, ended ones included: who is reaped moves from its own account to
    its parent's, so that nothing is lost and nothing counted twice."""
    return times(pid) + sum(tree_cpu(child) for child in children(pid))


def threads_cpu(pid, name):
    """Seconds of CPU of the threads whose name begins so."""
    ticks = 0
    for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
        comm, fields = stat.read_text().split("(", 1)[1].rsplit(")", 1)
        if comm.startswith(name):
            ticks += sum(int(field) for field in fields.split()[11:13])
    return ticks / TICKS


class Ours:
    def __init__(self, scenario, folder, store, sink):
        self.relay = Hedwig(folder / "hedwig", store=store, next_hop=sink.next_hop if sink else "127.0.0.1:1", config={
            "outbound": {"paused": scenario == "accept"}, "log": {"level": "warn"},
            "server": {"outbound_local": True, "disable_outbound": scenario in ("remove", "dialogue")},
            "queue": {"disk_reserve_bytes": 16 << 20}})
        self.relay.config["server"]["max_connections"] = 5000
        if scenario == "dialogue":
            self.relay.config["storage"].update({"storage_type": "memory", "memory": {"memory_max": "1GiB"}})
            self.relay.config["plugins"]["directories"].append(f"{os.environ['HEDWIG_BUILD_DIR']}/lib/hedwig/examples")
        self.relay.folder.mkdir(parents=True)
        self.relay.start()
        self.address, self.port = self.relay.address, self.relay.port

    def cpu(self):
        return tree_cpu(self.relay.process.pid)

    def stores_cpu(self):
        return threads_cpu(self.relay.process.pid, "storage.")

    def store(self):
        """(commits, writes in them, bytes given to the disk) since the start."""
        store = self.relay.admin("status")["store"]
        written = re.search(r"^write_bytes: (\d+)", pathlib.Path(f"/proc/{self.relay.process.pid}/io").read_text(), re.M)
        return store["commits"], store["commits"] * store["mean_group_size"], int(written.group(1))

    def close(self):
        self.relay.stop(timeout=60)


class Theirs:
    def __init__(self, scenario, folder, _, sink):
        settings = {"smtpd_peername_lookup": "no", "default_process_limit": 200}
        if scenario == "accept":
            settings["smtpd_client_restrictions"] = "static:HOLD"
        elif scenario == "remove":
            settings["default_transport"] = "discard:"
        self.server = Postfix(folder / "postfix", relayhost=f"[{sink.address}]:{sink.port}" if sink else "[127.0.0.1]:1",
                              settings=settings)
        self.address, self.port = self.server.address, self.server.port

    def cpu(self):
        return tree_cpu(self.server.master_pid())

    def close(self):
        self.server.close()


def how_many(scenario, connections, size):
    if scenario != "relay":
        count = min(30000, 400 if connections == 1 else 20000, (1 << 19) // size)
        return max(connections * 2, int(count * options.scale))
    count = {1: 400}.get(connections, 4000 if connections >= 10 else 1500)
    return max(100, int(count * {100: 0.4}.get(size, 1) * options.scale))


def program(name, *arguments):
    """The JSON that a program of this folder prints."""
    command = [pathlib.Path(os.environ["HEDWIG_BUILD_DIR"]) / "bin" / name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def accept(relay, connections, size):
    messages = how_many("accept", connections, size)
    program("smtp_load", relay.address, relay.port, connections, connections * 2, 1024)  # caches, processes, pages
    of_store = getattr(relay, "store", lambda: None)
    of_threads = getattr(relay, "stores_cpu", lambda: 0.0)
    cpu, stores, before = relay.cpu(), of_threads(), of_store()
    seen = program("smtp_load", relay.address, relay.port, connections, messages, size << 10)
    seen["cpu"] = (relay.cpu() - cpu) / messages * 1e6
    seen["stores_cpu"] = (of_threads() - stores) / messages * 1e6
    if before:
        commits, writes, written = (after - first for after, first in zip(of_store(), before))
        seen["group"], seen["written"] = writes / max(1, commits), written / (messages * (size << 10))
    return seen


def measure(system, scenario, connections, size, store="-"):
    """What one cell of a table says: messages_per_second, cpu (microseconds a message), and what accept() adds."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hwb-", dir=options.folder))
    sink = relay = None
    try:
        sink = SmtpSink(folder) if scenario == "relay" else None
        relay = system(scenario, folder, store, sink)
        if scenario != "relay":
            return accept(relay, connections, size)
        load(relay.address, relay.port, min(50, connections * 2), connections, 1024, extra=["-d"])  # caches, processes, pages
        warm = min(50, connections * 2)
        if sink:
            wait_for(lambda: sink.count() >= warm, 30, "the warm-up messages")
        messages = how_many(scenario, connections, size)
        cpu, started = relay.cpu(), time.monotonic()
        load(relay.address, relay.port, messages, connections, size << 10, extra=["-d"], timeout=600)
        if sink:
            wait_for(lambda: sink.count() >= warm + messages, 600, lambda: f"{sink.count()} of {warm + messages} at the sink", 0.005)
        seconds = time.monotonic() - started
        return {"messages_per_second": messages / seconds, "cpu": (relay.cpu() - cpu) / messages * 1e6}
    finally:
        for thing in (relay, sink):
            if thing:
                thing.close()
        shutil.rmtree(folder, ignore_errors=True)


def median(system, *cell):
    runs = sorted((measure(system, *cell) for _ in range(options.repeat)), key=lambda run: run["messages_per_second"])
    return runs[len(runs) // 2]


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1)) >> 20
    kind = subprocess.run(["stat", "-f", "-c", "%T", options.folder], capture_output=True, text=True).stdout.strip()
    return (f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores, {memory} GiB, spool on {kind}, "
            f"Linux {platform.release()}; load average before: {os.getloadavg()[0]:.1f}")


def version_of_postfix():
    if options.no_postfix or os.geteuid() != 0 or not shutil.which("postconf", path="/usr/sbin:/usr/bin"):
        return None
    return subprocess.run(["/usr/sbin/postconf", "-h", "mail_version"], capture_output=True, text=True).stdout.strip() or "?"


ON_DISK = ("accept", "remove")
POSTFIX_CONNECTIONS_MAX = 100  # a process each: beyond that the machine measures its scheduler


def columns_of(scenario, postfix):
    names = ["connections", "KiB", "store", "messages/s", "CPU µs/message"]
    if scenario == "dialogue":
        names += ["of it the store's"]
    if scenario != "relay":
        names += ["p50 ms", "p99 ms", "p999 ms", "group"]
    if scenario in ON_DISK:
        names += ["written/accepted", "append+fdatasync/s", "RocksDB alone/s"]
    return names + (["Postfix messages/s", "Postfix CPU µs/message", "rate", "CPU"] if postfix else [])


def row_of(scenario, connections, size, store, ours, beside):
    rate = ours["messages_per_second"]
    cells = [connections, size, store, f"{rate:.0f}", f"{ours['cpu']:.0f}"]
    if scenario == "dialogue":
        cells.append(f"{ours['stores_cpu']:.0f}")
    if scenario != "relay":
        cells += [f"{ours[name] / 1000:.1f}" for name in ("p50_us", "p99_us", "p999_us")] + [f"{ours['group']:.1f}"]
    if scenario in ON_DISK:
        raw = program("raw_limits", options.folder, size << 10, max(1, round(ours["group"])), 2)
        cells += [f"{ours['written']:.1f}", f"{raw['append_per_second']:.0f}", f"{raw['rocksdb_per_second']:.0f}"]
    if beside:
        cells += [f"{beside['messages_per_second']:.0f}", f"{beside['cpu']:.0f}",
                  f"{rate / beside['messages_per_second']:.1f}×", f"1/{beside['cpu'] / max(ours['cpu'], 1e-9):.1f}"]
    return cells


def table(scenario, cells, postfix):
    columns = columns_of(scenario, postfix)
    rows = ["| " + " | ".join(columns) + " |",
            "|" + "|".join("---" if name == "store" else "---:" for name in columns) + "|"]
    print("\n".join(rows), flush=True)
    for connections, size in cells:
        comparable = postfix and scenario != "dialogue" and connections <= POSTFIX_CONNECTIONS_MAX
        beside = median(Theirs, scenario, connections, size) if comparable else None
        for store in ["memory"] if scenario == "dialogue" else options.stores.split(","):
            ours = median(Ours, scenario, connections, size, store)
            row = row_of(scenario, connections, size, store, ours, beside)
            rows.append("| " + " | ".join(map(str, row + ["-"] * (len(columns) - len(row)))) + " |")
            print(rows[-1], flush=True)
    return rows


def main():
    postfix = version_of_postfix()
    lines = [f"Machine: {machine()}.", f"Postfix beside it: {postfix}." if postfix else
             "Postfix beside it: no (not installed, not wanted, or not root).", ""]
    print("\n".join(lines), flush=True)
    titles = {"accept": "Accepting, nothing delivered", "remove": "Accepting, and removing at the same rate",
              "relay": "Relaying to smtp-sink", "dialogue": "The dialogue alone"}
    plan = []
    if options.target:
        plan += [("relay", [(20, 10)]), ("accept", [(100, 10)])]
    else:
        cells = [(int(c), int(s)) for c in options.connections.split(",") for s in options.sizes.split(",")]
        for scenario in options.scenarios.split(","):
            plan.append((scenario, cells + ([(20, 10)] if scenario == "relay" and (20, 10) not in cells else [])))
    for scenario, cells in plan:
        title = f"### {titles[scenario]}\n"
        print(title, flush=True)
        lines += [title] + table(scenario, cells, postfix) + [""]
        print(flush=True)
    if options.write:
        file = pathlib.Path(options.write)
        text = file.read_text()
        start, end = "<!-- measured: begin -->", "<!-- measured: end -->"
        if start not in text or end not in text:
            sys.exit(f"{file}: the marks {start} and {end} are not there")
        file.write_text(text[:text.index(start) + len(start)] + "\n" + "\n".join(lines).rstrip() + "\n" + text[text.index(end):])


if __name__ == "__main__":
    main()
