// SPDX-License-Identifier: Apache-2.0
#include "admin/trace.hpp"

#include "admin/client.hpp"
#include "admin/terminal_text.hpp"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Parser.h>
#include <Poco/URI.h>
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <ostream>
#include <sstream>
#include <thread>

namespace hedwig::admin {

namespace {

using Poco::JSON::Object;

/// Between two questions: short enough to feel alive, long enough to cost nothing.
constexpr auto poll_interval = std::chrono::milliseconds{200};

volatile std::sig_atomic_t trace_interrupted = 0;

void interrupt_trace(int) { trace_interrupted = 1; }

std::optional<Object> object_in(const std::string& body) {
  try {
    Poco::JSON::Parser parser;
    return *parser.parse(body).extract<Object::Ptr>();
  } catch (const Poco::Exception&) {
    return std::nullopt;
  }
}

std::string text_of(const Object& of, const char* key) {
  auto value = of.get(key);
  return value.isEmpty() ? std::string{} : value.convert<std::string>();
}

class tracing {
public:
  tracing(const command_line& wanted, std::ostream& out, std::ostream& err) : wanted_{wanted}, out_{out}, err_{err} {}

  int run() {
    auto target = "/v1/traces?" + session_parameters(wanted_);
    if (wanted_.seconds > 0)
      target += "&seconds=" + std::to_string(wanted_.seconds);
    auto begun = question("POST", target);
    if (!begun)
      return 1;
    auto id = text_of(*begun, "trace");
    if (!wanted_.json)
      err_ << "trace " << escaped(id) << " for " << escaped(text_of(*begun, "seconds"))
           << " seconds; what was said before is not shown\n"
           << std::flush;
    return follow("/v1/traces/" + id);
  }

private:
  int follow(const std::string& path) {
    for (std::string cursor = "1"; trace_interrupted == 0;) {
      auto answer = question("GET", path + "?cursor=" + cursor);
      if (!answer)
        return status_ == 404 ? 0 : 1;
      cursor = text_of(*answer, "cursor");
      if (show(*answer) == 0)
        std::this_thread::sleep_for(poll_interval);
      if (!out_.flush())
        break; // nobody reads on
    }
    std::ignore = ask(wanted_.place, "DELETE", path);
    return 0;
  }

  std::size_t show(const Object& answer) {
    auto lines = answer.isArray("lines") ? answer.getArray("lines") : Poco::JSON::Array::Ptr{};
    auto count = lines.isNull() ? 0 : lines->size();
    for (std::size_t i = 0; i < count; ++i)
      if (auto line = lines->getObject(static_cast<unsigned>(i)); !line.isNull())
        print(*line);
    return count;
  }

  void print(const Object& line) {
    if (!wanted_.json) {
      out_ << render_trace_line(line);
      return;
    }
    line.stringify(out_);
    out_ << '\n';
  }

  std::optional<Object> question(const char* method, const std::string& target) {
    auto reply = ask(wanted_.place, method, target);
    if (!reply) {
      err_ << "hedwig-admin: " << reply.error() << '\n';
      return std::nullopt;
    }
    status_ = reply->status;
    auto answer = object_in(reply->body);
    if (answer && reply->status == 200)
      return answer;
    err_ << "hedwig-admin: "
         << (answer ? escaped(text_of(*answer, "error")) : "what answers there is not Hedwig's admin API") << '\n';
    return std::nullopt;
  }

  const command_line& wanted_;
  std::ostream& out_;
  std::ostream& err_;
  int status_ = 0;
};

} // namespace

int trace(const command_line& wanted, std::ostream& out, std::ostream& err) {
  trace_interrupted = 0;
  std::signal(SIGINT, interrupt_trace);
  std::signal(SIGTERM, interrupt_trace);
  return tracing{wanted, out, err}.run();
}

std::string render_trace_line(const Object& line) {
  constexpr std::size_t date_size = 11; // "2026-11-22T"
  auto at = text_of(line, "at");
  if (at.size() > date_size && at.ends_with('Z'))
    at = at.substr(date_size, at.size() - date_size - 1);
  auto who = text_of(line, "who");
  auto mark = who == "client" ? "C:" : who == "server" ? "S:" : "--";
  return fmt::format("{} {} {} {} {}\n", escaped(at), escaped(text_of(line, "session")),
                     escaped(text_of(line, "client")), mark, escaped(text_of(line, "text")));
}

std::string session_parameters(const command_line& wanted) {
  std::string out;
  auto add = [&](std::string_view key, const std::string& value) {
    if (value.empty())
      return;
    out += fmt::format("{}{}=", out.empty() ? "" : "&", key);
    Poco::URI::encode(value, "/?#&=+;:@%", out);
  };
  add("client", wanted.client);
  add("user", wanted.user);
  add("listener", wanted.listener);
  return out;
}

} // namespace hedwig::admin
