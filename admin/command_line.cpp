// SPDX-License-Identifier: Apache-2.0
#include "admin/command_line.hpp"

#include "admin/terminal_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace hedwig::admin {

namespace {

using failure = std::unexpected<std::string>;

constexpr std::array<std::string_view, 5> change_verbs{"retry", "hold", "release", "bounce", "delete"};
constexpr std::array<std::string_view, 6> state_names{"queued", "deferred", "held", "bounced", "quarantined", "all"};
constexpr std::array<std::string_view, 10> valued{"--socket", "--url",    "--state", "--limit",    "--cursor",
                                                  "-s",       "--client", "--user",  "--listener", "--for"};
/// Of a trace; the API's most.
constexpr std::uint32_t trace_seconds_max = 86'400;

template <std::size_t Count>
bool is_one_of(const std::array<std::string_view, Count>& all, std::string_view text) {
  return std::ranges::find(all, text) != all.end();
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number value{};
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  return fault == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
}

/// "90", "90s", "10m", "1h" as seconds.
std::optional<std::uint32_t> seconds_of(std::string_view text) {
  std::uint32_t unit = text.ends_with('h') ? 3600 : text.ends_with('m') ? 60 : 1;
  if (!text.empty() && (text.back() == 'h' || text.back() == 'm' || text.back() == 's'))
    text.remove_suffix(1);
  auto count = number_of<std::uint32_t>(text);
  return !count || *count < 1 || *count > trace_seconds_max / unit ? std::nullopt : std::optional{*count * unit};
}

std::expected<api_place, std::string> place_of(std::string_view url) {
  constexpr std::string_view scheme = "http://";
  auto wrong = failure{"--url is http://HOST:PORT, not " + escaped(url)};
  if (!url.starts_with(scheme))
    return wrong;
  url.remove_prefix(scheme.size());
  if (url.ends_with('/'))
    url.remove_suffix(1);
  auto colon = url.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return wrong;
  auto port = number_of<std::uint16_t>(url.substr(colon + 1));
  auto host = url.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  if (!port || *port == 0 || host.empty() || host.find('/') != std::string_view::npos)
    return wrong;
  return api_place{.socket = {}, .host = std::string{host}, .port = *port};
}

class reader {
public:
  reader(const std::vector<std::string_view>& arguments, std::string_view socket) : arguments_{arguments} {
    made_.place.socket = socket.empty() ? default_socket : socket;
  }

  std::expected<command_line, std::string> read() {
    bool options_end = false;
    for (; at_ < arguments_.size(); ++at_) {
      auto argument = arguments_[at_];
      if (options_end || !argument.starts_with('-') || argument == "-") {
        words_.push_back(argument);
      } else if (argument == "--") {
        options_end = true;
      } else if (auto why = option(argument); !why.empty()) {
        return failure{why};
      }
    }
    if (help_ || version_) {
      made_.what = help_ ? command::help : command::version;
      return made_;
    }
    if (auto why = words(); !why.empty())
      return failure{why};
    if (auto why = misplaced(); !why.empty())
      return failure{why};
    return made_;
  }

private:
  std::string option(std::string_view argument) {
    if (argument == "--json")
      made_.json = true;
    else if (argument == "--all" || argument == "-a")
      made_.all = true;
    else if (argument == "--help" || argument == "-h")
      help_ = true;
    else if (argument == "--version" || argument == "-V")
      version_ = true;
    else
      return option_with_value(argument);
    return {};
  }

  std::string option_with_value(std::string_view argument) {
    auto equals = argument.starts_with("--") ? argument.find('=') : std::string_view::npos;
    auto name = argument.substr(0, equals);
    if (!is_one_of(valued, name))
      return "unknown option " + escaped(name);
    if (equals == std::string_view::npos && at_ + 1 >= arguments_.size())
      return std::string{name} + " needs a value";
    auto value = equals != std::string_view::npos ? argument.substr(equals + 1) : arguments_[++at_];
    return set(name, value);
  }

  std::string set(std::string_view name, std::string_view value) {
    if (value.empty())
      return std::string{name} + " needs a value";
    if (name == "--socket" || name == "-s") {
      made_.place = {.socket = std::string{value}, .host = {}, .port = 0};
    } else if (name == "--url") {
      auto place = place_of(value);
      if (!place)
        return place.error();
      made_.place = std::move(*place);
    } else if (name == "--state") {
      if (!is_one_of(state_names, value))
        return "no such state " + escaped(value) + ": queued, deferred, held, bounced, quarantined or all";
      made_.state = value;
    } else if (name == "--cursor") {
      made_.cursor = value;
    } else if (name == "--client") {
      made_.client = value;
    } else if (name == "--user") {
      made_.user = value;
    } else if (name == "--listener") {
      made_.listener = value;
    } else if (name == "--for") {
      auto seconds = seconds_of(value);
      if (!seconds)
        return "--for is a time up to 24h such as 90s, 10m or 1h, not " + escaped(value);
      made_.seconds = *seconds;
    } else {
      auto limit = number_of<std::uint32_t>(value);
      if (!limit || *limit < 1 || *limit > page_max)
        return "--limit is a number from 1 to " + std::to_string(page_max) + ", not " + escaped(value);
      made_.limit = *limit;
    }
    return {};
  }

  std::string words() {
    if (words_.empty())
      return "a command is missing";
    auto first = words_.front();
    if (first == "queue")
      return queue_words();
    if (first == "sessions")
      return session_words();
    if (first == "log-level" && words_.size() <= 2) {
      made_.what = command::log_level;
      made_.filter = words_.size() == 2 ? words_[1] : "";
      return {};
    }
    constexpr std::array<std::pair<std::string_view, command>, 7> simple{{{"status", command::status},
                                                                          {"trace", command::trace},
                                                                          {"actors", command::actors},
                                                                          {"plugins", command::plugins},
                                                                          {"pause", command::pause},
                                                                          {"resume", command::resume},
                                                                          {"help", command::help}}};
    auto known = std::ranges::find(simple, first, &std::pair<std::string_view, command>::first);
    if (known == simple.end() && first != "log-level")
      return "no such command " + escaped(first);
    if (words_.size() > 1)
      return escaped(first) + (first == "log-level" ? " takes one filter" : " takes nothing more") + ": " +
             escaped(words_.back());
    made_.what = known->second;
    return {};
  }

  std::string queue_words() {
    auto verb = words_.size() < 2 ? std::string_view{} : words_[1];
    if (verb == "list") {
      made_.what = command::queue_list;
      return words_.size() == 2 ? "" : "queue list takes no message id: queue show does";
    }
    if (verb != "show" && !is_one_of(change_verbs, verb))
      return "after queue comes list, show, retry, hold, release, bounce or delete" +
             (verb.empty() ? std::string{} : ", not " + escaped(verb));
    made_.what = verb == "show" ? command::queue_show : command::queue_change;
    made_.verb = verb;
    made_.ids.assign(words_.begin() + 2, words_.end());
    return made_.ids.empty() ? "queue " + made_.verb + " needs the id of a message" : "";
  }

  std::string session_words() {
    made_.what = command::sessions_list;
    if (words_.size() == 1 || (words_.size() == 2 && words_[1] == "list"))
      return {};
    if (words_[1] != "kill")
      return "after sessions comes list or kill, not " + escaped(words_[1]);
    made_.what = command::sessions_kill;
    made_.ids.assign(words_.begin() + 2, words_.end());
    if (made_.ids.empty() == !names_sessions())
      return "sessions kill needs ids of sessions, or whose: --client, --user, --listener";
    return {};
  }

  bool names_sessions() const { return !made_.client.empty() || !made_.user.empty() || !made_.listener.empty(); }

  std::string misplaced() const {
    auto sessions = made_.what == command::sessions_list;
    auto lists = made_.what == command::queue_list || sessions;
    if (!made_.state.empty() && made_.what != command::queue_list)
      return "--state belongs to queue list";
    if (!lists && (!made_.cursor.empty() || made_.limit > 0))
      return "--limit and --cursor belong to queue list and sessions";
    if (made_.all && !lists && made_.what != command::actors)
      return "--all belongs to actors, queue list and sessions";
    if (names_sessions() && !sessions && made_.what != command::sessions_kill && made_.what != command::trace)
      return "--client, --user and --listener belong to sessions and trace";
    if (made_.seconds > 0 && made_.what != command::trace)
      return "--for belongs to trace";
    if (made_.what == command::trace && !names_sessions())
      return "trace needs to know whom: --client, --user, --listener";
    return {};
  }

  const std::vector<std::string_view>& arguments_;
  std::size_t at_ = 0;
  std::vector<std::string_view> words_;
  command_line made_;
  bool help_ = false;
  bool version_ = false;
};

} // namespace

std::expected<command_line, std::string> parse(const std::vector<std::string_view>& arguments,
                                               std::string_view socket) {
  return reader{arguments, socket}.read();
}

std::string_view help_text() noexcept {
  return R"(hedwig-admin: look at a running Hedwig relay and steer it

usage: hedwig-admin [--socket PATH | --url http://HOST:PORT] [--json] COMMAND

what it does:
  status                    version, uptime, what is connected, queued and delivered, memory, store
  actors [--all]            every part of the relay as a tree; more than 20 of a kind under one
                            parent are summed up, unless --all
  plugins                   every plugin in use: calls, how long they take, failures, breaker

clients:
  sessions                  who is connected, the oldest first
      --client ADDR[/LEN]   only those from there
      --user USER           only those of that user
      --listener NAME       only those at that listener
      --limit N, --cursor CURSOR, --all
                            as for queue list
  sessions kill ID...       421 and the end; where a message is being committed, after its answer
  sessions kill --client ADDR[/LEN] | --user USER | --listener NAME
                            all of them
  trace --client ADDR[/LEN] | --user USER | --listener NAME
                            their dialogues as they are held, without secrets and content;
                            until interrupted
      --for TIME            or until then: 90s, 10m, 24h at most (10m)

the queue:
  queue list                what waits, oldest first
      --state STATE         queued, deferred, held, bounced, quarantined or all;
                            without it all but bounced
      --limit N             messages of a page, 1 to 1000 (100)
      --cursor CURSOR       the next page, as the last one says
      --all                 every page
  queue show ID...          one message: envelope, and of each recipient the last reply
  queue retry ID...         try again now instead of at its due time
  queue hold ID...          keep back until it is released
  queue release ID...       let a held or quarantined one go
  queue bounce ID...        give up: its sender gets a notification
  queue delete ID...        throw away; nobody is told
                            ID may be "-": ids from standard input, one a line

steering:
  pause                     take mail, deliver nothing; until resume or the next start
  resume                    deliver again
  log-level [FILTER]        show or set what is logged, until the next start or reload:
                            info, or by part: info,delivery=debug

options:
  --socket PATH             the relay's admin.socket; default: HEDWIG_ADMIN_SOCKET,
                            else /run/hedwig/admin.sock
  --url http://HOST:PORT    the relay's admin.bind
  --json                    the API's own JSON, one document a line
  --help, --version

exit status: 0 done; 1 the relay was not reached or refused something; 2 wrong usage
)";
}

} // namespace hedwig::admin
