// SPDX-License-Identifier: Apache-2.0
// hedwig-plugin-host: runs one isolated plugin for the relay that started it, over the socket that it was given as
// descriptor 3. Its only argument is the user to become.
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "app/plugin_host/guest.hpp"
#include "runtime/plugin/crash_report.hpp"

namespace {

using hedwig::plugin_host::guest;
using hedwig::plugin_host::line;

constexpr int relay_socket = 3;

[[noreturn]] void give_up(line& to, const std::string& why) {
  hedwig::plugin::wire::writer out;
  put(out, hedwig::error{HEDWIG_E_CONFIG, why, {}, 0});
  to.send(hedwig::plugin::wire::frame::failed, 0, out.bytes());
  std::_Exit(1);
}

void become(line& to, const char* user) {
  errno = 0;
  auto* entry = ::getpwnam(user);
  if (entry == nullptr)
    give_up(to, std::string{"isolation_user: there is no user "} + user);
  if (entry->pw_uid == ::geteuid())
    return;
  if (::initgroups(user, entry->pw_gid) != 0 || ::setgid(entry->pw_gid) != 0 || ::setuid(entry->pw_uid) != 0)
    give_up(to, std::string{"isolation_user: cannot become "} + user + " (" + std::strerror(errno) +
                    "): start the relay as root, or leave the key out");
}

/// The relay alone ends us: a signal for the whole group means the relay, which is finishing its work.
void settle(line& to, const char* user) {
  for (int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE})
    std::signal(number, SIG_IGN);
  if (user != nullptr)
    become(to, user);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL); // of the thread that started us, which lives as long as it wants us
}

int serve(line& to, uid_t trusted) {
  guest one{to, trusted};
  hedwig::plugin::wire::frame_reader incoming;
  std::string part(64 * 1024, '\0');
  for (;;) {
    auto got = ::recv(relay_socket, part.data(), part.size(), 0);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return 0;
    incoming.feed({part.data(), static_cast<std::size_t>(got)});
    std::fill_n(part.begin(), got, '\0');
    while (auto frame = incoming.next())
      if (!one.handle(*frame))
        return 0;
    if (incoming.broken())
      return 1;
  }
}

} // namespace

int main(int argc, char** argv) {
  struct stat info {};
  if (argc > 2 || ::fstat(relay_socket, &info) != 0 || !S_ISSOCK(info.st_mode)) {
    std::fputs("hedwig-plugin-host runs a plugin with isolation = \"process\"; the relay starts it by itself\n",
               stderr);
    return 2;
  }
  hedwig::plugin::install_crash_report("hedwig-plugin-host", true);
  ::close_range(relay_socket + 1, ~0U, 0); // what a library of the relay's left open is none of ours
  line to{relay_socket};
  auto relay_user = ::geteuid();
  settle(to, argc == 2 ? argv[1] : nullptr);
  // No destructors: threads of the plugin may still run.
  std::_Exit(serve(to, relay_user));
}
