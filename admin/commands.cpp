// SPDX-License-Identifier: Apache-2.0
#include "admin/commands.hpp"

#include "admin/actor_tree.hpp"
#include "admin/render.hpp"
#include "admin/terminal_text.hpp"
#include "admin/trace.hpp"

#include <Poco/JSON/Parser.h>
#include <Poco/URI.h>

#include <algorithm>
#include <cctype>
#include <functional>
#include <istream>
#include <optional>
#include <ostream>

namespace hedwig::admin {

namespace {

using Poco::JSON::Object;
/// Rows of a page of sessions.
constexpr std::uint32_t page_default = 100;

using renderer = std::function<std::string(const Object&)>;

std::string encoded(const std::string& text) {
  std::string out;
  Poco::URI::encode(text, "/?#&=+;:@%", out);
  return out;
}

std::optional<Object> parsed(const std::string& body) {
  try {
    Poco::JSON::Parser parser;
    return *parser.parse(body).extract<Object::Ptr>();
  } catch (const Poco::Exception&) {
    return std::nullopt;
  }
}

time_point now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

class runner {
public:
  runner(const command_line& wanted, std::istream& in, std::ostream& out, std::ostream& err)
    : wanted_{wanted}, in_{in}, out_{out}, err_{err} {}

  int run() {
    switch (wanted_.what) {
    case command::help:
      out_ << help_text();
      return 0;
    case command::version:
      out_ << "hedwig-admin " << HEDWIG_VERSION << '\n';
      return 0;
    case command::status:
      return one("GET", "/v1/status", render_status);
    case command::actors:
      return one("GET", "/v1/actors", [this](auto& answer) { return actor_tree(actors_of(answer), wanted_.all); });
    case command::plugins:
      return one("GET", "/v1/plugins", [](auto& answer) { return render_plugins(answer, now()); });
    case command::queue_list:
      return list();
    case command::queue_show:
    case command::queue_change:
      return messages();
    case command::sessions_list:
      return list();
    case command::sessions_kill:
      return kill();
    case command::trace:
      return trace(wanted_, out_, err_);
    case command::log_level:
      return one(wanted_.filter.empty() ? "GET" : "POST",
                 wanted_.filter.empty() ? "/v1/log-level" : "/v1/log-level?filter=" + encoded(wanted_.filter),
                 [](auto& answer) { return escaped(answer.optValue("filter", std::string{})) + "\n"; });
    case command::pause:
    case command::resume:
      return one("POST", wanted_.what == command::pause ? "/v1/pause" : "/v1/resume", [](auto& answer) {
        return answer.optValue("paused", false) ? "deliveries are paused: mail is taken and kept\n"
                                                : "deliveries go on\n";
      });
    }
    return 2;
  }

private:
  int one(const char* method, const std::string& target, const renderer& show, const std::string& about = {}) {
    return request(method, target, show, about) ? 0 : 1;
  }

  /// The answer, shown already; nothing when it was a refusal or none, which is told already.
  std::optional<Object> request(const char* method, const std::string& target, const renderer& show,
                                const std::string& about) {
    auto reply = ask(wanted_.place, method, target);
    if (!reply) {
      unreachable_ = true;
      complain(reply.error());
      return std::nullopt;
    }
    auto answer = parsed(reply->body);
    if (wanted_.json && answer)
      out_ << reply->body;
    if (answer && reply->status == 200) {
      if (!wanted_.json)
        out_ << show(*answer);
      out_.flush();
      return answer;
    }
    auto why =
        answer ? escaped(answer->optValue("error", std::string{})) : "what answers there is not Hedwig's admin API";
    complain((about.empty() ? "" : escaped(about) + ": ") + why +
             (reply->status == 503 ? " (the relay cannot do it now; try again)" : ""));
    return std::nullopt;
  }

  void complain(const std::string& why) { err_ << "hedwig-admin: " << why << '\n'; }

  int list() {
    auto cursor = wanted_.cursor;
    auto limit = wanted_.limit > 0 ? wanted_.limit : wanted_.all ? page_max : 0;
    bool none = true;
    auto sessions = wanted_.what == command::sessions_list;
    auto* rows = sessions ? "sessions" : "messages";
    auto which = "/v1/queue?state=" + wanted_.state;
    if (sessions) {
      limit = limit > 0 ? limit : page_default;
      auto whose = session_parameters(wanted_);
      which = "/v1/sessions?" + whose + (whose.empty() ? "" : "&") + "limit=" + std::to_string(limit);
    }
    for (;;) {
      auto target = which + (limit > 0 && !sessions ? "&limit=" + std::to_string(limit) : "") +
                    (cursor.empty() ? "" : "&cursor=" + encoded(cursor));
      auto answer = request(
          "GET", target, [&](auto& page) { return sessions ? render_sessions(page) : render_list(page, now()); }, {});
      if (!answer)
        return 1;
      none &= answer->getArray(rows).isNull() || answer->getArray(rows)->empty();
      auto next = answer->optValue("cursor", std::string{});
      if (next.empty() || !wanted_.all || next == cursor) {
        if (!wanted_.json)
          end_list(none, next);
        return 0;
      }
      cursor = std::move(next);
    }
  }

  void end_list(bool none, const std::string& next) {
    if (none && next.empty())
      out_ << (wanted_.what == command::sessions_list ? "no session\n" : "no message\n");
    if (!next.empty())
      out_ << "more: --cursor " << escaped(next) << ", or --all\n";
  }

  int kill() {
    auto show = [](auto& answer) { return render_kill(answer); };
    if (wanted_.ids.empty())
      return one("POST", "/v1/sessions/kill?" + session_parameters(wanted_), show);
    bool well = true;
    for (auto& id : wanted_.ids)
      well &= one("POST", "/v1/sessions/" + encoded(id) + "/kill", show, id) == 0;
    return well ? 0 : 1;
  }

  int messages() {
    bool well = true;
    for (auto& given : wanted_.ids) {
      if (given != "-") {
        well &= message(given);
      } else {
        for (std::string line; !unreachable_ && std::getline(in_, line);)
          if (!line.empty())
            well &= message(line);
      }
      if (unreachable_)
        return 1; // the same for all that follow
    }
    return well ? 0 : 1;
  }

  bool message(const std::string& id) {
    if (!std::ranges::all_of(id, [](unsigned char c) { return c < 0x80 && std::isalnum(c) != 0; })) {
      complain(escaped(id) + ": no message id; queue list shows them");
      return false;
    }
    auto target = "/v1/queue/" + encoded(id);
    if (wanted_.what == command::queue_change)
      return one(
                 "POST", target + "/" + wanted_.verb,
                 [this](auto& answer) { return render_change(answer, wanted_.verb); }, id) == 0;
    auto before = std::exchange(shown_, true) && !wanted_.json ? "\n" : "";
    return one(
               "GET", target, [&](auto& answer) { return before + render_message(answer, now()); }, id) == 0;
  }

  const command_line& wanted_;
  std::istream& in_;
  std::ostream& out_;
  std::ostream& err_;
  bool unreachable_ = false;
  bool shown_ = false;
};

} // namespace

int run(const command_line& wanted, std::istream& in, std::ostream& out, std::ostream& err) {
  return runner{wanted, in, out, err}.run();
}

} // namespace hedwig::admin
