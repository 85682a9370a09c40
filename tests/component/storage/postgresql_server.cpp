// SPDX-License-Identifier: Apache-2.0
#include "tests/component/storage/postgresql_server.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>

#include <pwd.h>
#include <unistd.h>

namespace hedwig::test {

namespace {

namespace fs = std::filesystem;

/// The newest version installed below Debian's folder.
std::string newest_programs() {
  std::set<std::string> found;
  std::error_code none;
  for (auto& version : fs::directory_iterator{"/usr/lib/postgresql", none})
    if (fs::exists(version.path() / "bin/initdb"))
      found.insert(version.path() / "bin");
  return found.empty() ? "" : *found.rbegin();
}

} // namespace

postgresql_server::postgresql_server() {
  programs_ = newest_programs();
  if (programs_.empty()) {
    reason_ = "PostgreSQL is not installed (package postgresql)";
    return;
  }
  // In memory where that is possible: no test here cuts the power, and the server syncs as often as ever.
  std::string parent = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : fs::temp_directory_path().string();
  std::string pattern = parent + "/hedwig-pg-XXXXXX";
  folder_ = ::mkdtemp(pattern.data());
  if (::geteuid() == 0) { // the server refuses to be root
    auto* nobody = ::getpwnam("nobody");
    if (nobody == nullptr || ::chown(folder_.c_str(), nobody->pw_uid, nobody->pw_gid) != 0) {
      reason_ = "there is no user nobody to run the server";
      return;
    }
    user_ = "setpriv --reuid=nobody --regid=" + std::to_string(nobody->pw_gid) + " --clear-groups ";
  }
  if (run("initdb", "-D " + folder_ + "/data -U hedwig -A trust --no-sync --locale=C -E UTF8") != 0)
    reason_ = "initdb failed, see above";
  else
    start();
}

postgresql_server::~postgresql_server() {
  if (reason_.empty())
    stop("immediate");
  std::error_code ignored;
  if (!folder_.empty())
    fs::remove_all(folder_, ignored);
}

int postgresql_server::run(const std::string& program, const std::string& arguments) const {
  auto log = folder_ + "/" + program + ".log";
  auto command = "cd " + folder_ + " && " + user_ + programs_ + "/" + program + " " + arguments + " >" + log +
                 " 2>&1 </dev/null || { cat " + log + " >&2; false; }";
  return std::system(command.c_str()); // NOLINT: nothing in it comes from outside
}

void postgresql_server::start() {
  // fsync stays on, as the store insists; a small server starts faster.
  if (run("pg_ctl", "-D " + folder_ + "/data -l " + folder_ + "/server.log -w -t 120 -o \"-k " + folder_ +
                        " -c listen_addresses= -c shared_buffers=32MB -c max_connections=40\" start") != 0)
    reason_ = "the server did not start, see above";
}

void postgresql_server::stop(const std::string& mode) {
  run("pg_ctl", "-D " + folder_ + "/data -w -t 120 -m " + mode + " stop");
}

std::string postgresql_server::ask(const std::string& sql) const {
  auto command = programs_ + "/psql -h " + folder_ + " -U hedwig -X -A -t -d postgres -c \"" + sql + "\" 2>&1";
  auto* pipe = ::popen(command.c_str(), "r"); // NOLINT: as above
  std::string out;
  std::array<char, 4096> some{};
  while (auto got = std::fread(some.data(), 1, some.size(), pipe))
    out.append(some.data(), got);
  ::pclose(pipe);
  while (!out.empty() && out.back() == '\n')
    out.pop_back();
  return out;
}

} // namespace hedwig::test
