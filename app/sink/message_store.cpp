// SPDX-License-Identifier: Apache-2.0
#include "app/sink/message_store.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "runtime/mail/dsn_text.hpp"

namespace hedwig::sink {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t field_max = 512;
constexpr std::size_t printed_recipients_max = 5;

/// The number in "<n>.eml"; 0 for other names.
std::uint64_t number_of(const fs::path& file) {
  const std::string name = file.filename().string();
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), value);
  return failure == std::errc{} && std::string_view{end} == ".eml" ? value : 0;
}

result<void> write_file(const std::string& path, std::string_view text) {
  std::ofstream out{path, std::ios::binary | std::ios::trunc};
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out)
    return std::unexpected{system_error(errno, "write " + path)};
  return {};
}

/// RFC 8259 section 7; bytes that are not UTF-8 become '?'.
std::string json_text(std::string_view text) {
  std::string out{'"'};
  for (const char c : mail::sanitise_peer_text(text, 4096)) {
    if (c == '"' || c == '\\')
      out += '\\';
    out += c;
  }
  return out += '"';
}

std::string time_text(wall_time when) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(
                         std::chrono::time_point_cast<std::chrono::system_clock::duration>(when))));
}

bool same_letters(std::string_view a, std::string_view lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(),
                    [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x - 'A' + 'a' : x) == y; });
}

} // namespace

result<message_store> message_store::open(std::string directory) {
  std::error_code failure;
  fs::create_directories(directory, failure);
  std::uint64_t last = 0;
  for (fs::directory_iterator at{directory, failure}; !failure && at != fs::directory_iterator{}; at.increment(failure))
    last = std::max(last, number_of(at->path()));
  if (failure)
    return std::unexpected{error{HEDWIG_E_IO, failure.message(), directory, failure.value()}};
  return message_store{std::move(directory), last};
}

result<void> message_store::write(const received_message& message) {
  const std::uint64_t number = ++last_;
  const std::string base = fmt::format("{}/{}", directory_, number);
  if (auto done = write_file(base + ".json", envelope_json(message, number) + "\n"); !done)
    return done;
  if (auto done = write_file(base + ".tmp", message.text); !done)
    return done;
  std::error_code failure;
  fs::rename(base + ".tmp", base + ".eml", failure);
  if (failure)
    return std::unexpected{error{HEDWIG_E_IO, failure.message(), base + ".eml", failure.value()}};
  return {};
}

std::string envelope_json(const received_message& m, std::uint64_t number) {
  std::string recipients;
  for (const std::string& to : m.recipients)
    recipients += (recipients.empty() ? "" : ",") + json_text(to);
  return fmt::format(
      R"({{"n":{},"time":"{}","peer":{},"helo":{},"tls":{},"auth":{},"mail_from":{},"mail_parameters":{},)"
      R"("rcpt_to":[{}],"size":{},"bare_line_ends":{},"reply":{}}})",
      number, time_text(m.when), json_text(m.peer), json_text(m.helo), m.tls, m.authenticated, json_text(m.sender),
      json_text(m.sender_parameters), recipients, m.size, m.bare_line_ends, m.reply_code);
}

std::string subject_of(std::string_view message) {
  constexpr std::string_view name = "subject:";
  std::string out;
  bool inside = false;
  while (!message.empty()) {
    const std::size_t end = std::min(message.find('\n'), message.size());
    std::string_view line = message.substr(0, end);
    message.remove_prefix(std::min(end + 1, message.size()));
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    const bool folded = line.starts_with(' ') || line.starts_with('\t');
    if (line.empty() || (inside && !folded))
      break;
    if (!inside && line.size() >= name.size() && same_letters(line.substr(0, name.size()), name)) {
      inside = true;
      line.remove_prefix(name.size());
    }
    if (inside)
      out += line;
  }
  return mail::sanitise_peer_text(out, field_max);
}

std::string print_line(const received_message& m, std::uint64_t number) {
  std::string recipients;
  for (std::size_t i = 0; i < std::min(m.recipients.size(), printed_recipients_max); ++i)
    recipients += fmt::format("{}<{}>", i == 0 ? "" : ",", mail::sanitise_peer_text(m.recipients[i], field_max));
  if (m.recipients.size() > printed_recipients_max)
    recipients += fmt::format(",+{} more", m.recipients.size() - printed_recipients_max);
  return fmt::format("{} #{} from=<{}> to={} size={} subject=\"{}\" peer={}{} reply={}", time_text(m.when), number,
                     mail::sanitise_peer_text(m.sender, field_max), recipients, m.size, subject_of(m.text), m.peer,
                     m.tls ? " tls" : "", m.reply_code == 0 ? std::string{"dropped"} : std::to_string(m.reply_code));
}

} // namespace hedwig::sink
