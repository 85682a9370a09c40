// SPDX-License-Identifier: Apache-2.0
#include "app/spool_import.hpp"

#include "actors/console_json.hpp"
#include "app/command_line.hpp"
#include "app/spool_files.hpp"
#include "app/spool_filler.hpp"
#include "runtime/mail/header.hpp"
#include "runtime/queue/metadata.hpp"

#include <Poco/Base64Decoder.h>
#include <Poco/Exception.h>
#include <Poco/JSON/Parser.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <sstream>

namespace hedwig::app {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t envelope_size_max = 16 * 1024 * 1024;
constexpr std::size_t piece_size = 1024 * 1024;

std::unexpected<error> refused(std::string what, const fs::path& file) {
  return std::unexpected{error{HEDWIG_E_INVALID, std::move(what), file.string(), 0}};
}

std::string bytes_of(const std::string& base64) {
  std::istringstream in{base64};
  Poco::Base64Decoder decoder{in};
  return {std::istreambuf_iterator<char>{decoder}, {}};
}

/// Brings bare line feeds, as files on disk have them, to CR LF (RFC 5321 section 2.3.8).
class line_ends {
public:
  std::string mended(std::string_view text) {
    std::string out;
    out.reserve(text.size() + text.size() / 32);
    for (char c : text) {
      if (last_ == '\r' && c != '\n')
        out += '\n';
      if (c == '\n' && last_ != '\r')
        out += '\r';
      out += last_ = c;
    }
    return out;
  }
  std::string_view end() const { return last_ == '\r' ? "\n" : last_ == '\n' ? "" : "\r\n"; }

private:
  char last_ = '\n';
};

/// The file as it is, or with its line ends mended.
result<void> read_body(const fs::path& path, bool mend, const std::function<result<void>(std::string_view)>& take) {
  std::ifstream in{path, std::ios::binary};
  std::string piece(piece_size, '\0');
  line_ends ends;
  while (in) {
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    auto text = std::string_view{piece}.substr(0, static_cast<std::size_t>(in.gcount()));
    if (text.empty())
      break;
    if (auto taken = mend ? take(ends.mended(text)) : take(text); !taken)
      return taken;
  }
  if (!in.eof())
    return std::unexpected{error{HEDWIG_E_IO, "cannot be read", path.string(), 0}};
  return mend && !ends.end().empty() ? take(ends.end()) : result<void>{};
}

class importer {
public:
  importer(spool_store& store, const spool_options& wanted)
    : wanted_{wanted}, filler_{store, [this](auto& one) {
                                 ++(one.fresh ? added_ : existing_);
                                 return result<void>{};
                               }} {}

  result<void> take(const fs::path& path) {
    std::error_code failed;
    if (!fs::is_directory(path, failed))
      return fs::exists(path, failed) ? take_file(path) : refused("is not there", path);
    for (auto& one : fs::directory_iterator{path, failed})
      if (auto done = is_message(one.path()) ? take_file(one.path()) : result<void>{}; !done)
        return done;
    return failed ? std::unexpected{system_error(failed.value(), "read " + path.string())} : result<void>{};
  }

  result<void> flush() { return filler_.flush(); }

  int end() {
    std::cout << fmt::format("{} messages imported{}\n", added_,
                             existing_ > 0 ? fmt::format(", {} were there already", existing_) : "");
    return exit_ok;
  }

private:
  /// One name for each message of a folder: its .json, or an .eml that has none.
  static bool is_message(const fs::path& path) {
    auto beside = path;
    return path.extension() == ".json" ||
           (path.extension() == ".eml" && !fs::exists(beside.replace_extension(".json")));
  }

  result<void> take_file(const fs::path& path) {
    auto envelope = path;
    auto body = path;
    envelope.replace_extension(".json");
    body.replace_extension(".eml");
    std::error_code failed;
    if (path.extension() == ".json" ||
        (path.extension() == ".eml" && wanted_.from.empty() && fs::exists(envelope, failed)))
      return take_exported(envelope, body);
    return take_plain(path);
  }

  result<void> take_exported(const fs::path& envelope, const fs::path& body) {
    auto text = read_file(envelope, envelope_size_max);
    if (!text)
      return std::unexpected{text.error()};
    try {
      auto object = Poco::JSON::Parser{}.parse(*text).extract<Poco::JSON::Object::Ptr>();
      auto id = message_id::parse(object->getValue<std::string>("id"));
      auto state = state_of(object->getValue<std::string>("state"));
      if (!id || state == 0)
        return refused("names no message or no state", envelope);
      plugin::put_request put{.id = *id, .state = state, .body = {}, .metadata = {}, .retry = true};
      put.due = wall_time{std::chrono::nanoseconds{object->getValue<std::int64_t>("due_nanoseconds")}};
      if (object->has("metadata")) {
        put.metadata = bytes_of(object->getValue<std::string>("metadata"));
      } else if (auto made = metadata_of(*object, *id)) {
        put.metadata = std::move(*made);
      } else {
        return refused(made.error().text(), envelope);
      }
      if (!queue::decode_metadata(put.metadata, *id) && !queue::damage_of(put.metadata, *id))
        return refused("holds metadata that cannot be read", envelope);
      return add(std::move(put), body, false);
    } catch (const Poco::Exception& e) {
      return refused("is no envelope as hedwig spool export writes one: " + e.displayText(), envelope);
    }
  }

  static std::uint32_t state_of(const std::string& name) {
    for (std::uint32_t state = 1; state < HEDWIG_STATE_COUNT; ++state)
      if (console::name_of_state(state) == name)
        return state;
    return 0;
  }

  /// From the readable part: every recipient as if it had not been tried.
  static result<std::string> metadata_of(const Poco::JSON::Object& from, const message_id& id) {
    queue::message message;
    message.id = id;
    message.envelope.reverse_path = from.getValue<std::string>("from");
    auto to = from.getArray("to");
    for (unsigned i = 0; to && i < to->size(); ++i)
      message.envelope.recipients.push_back({to->getElement<std::string>(i), {}, 0});
    if (message.envelope.recipients.empty())
      return std::unexpected{error{HEDWIG_E_INVALID, "it has no recipients", {}, 0}};
    message.received.time = clock::system().wall();
    return queue::encode_metadata(message, queue::make_record(message, message.received.time));
  }

  result<void> take_plain(const fs::path& path) {
    if (wanted_.from.empty())
      return refused("has no envelope beside it: write --from ADDRESS --to ADDRESS", path);
    auto now = clock::system().wall();
    queue::message message;
    message.id = message_id::make(now, (std::uint64_t{random_()} << 32) | random_());
    message.received.time = now;
    message.envelope.reverse_path = wanted_.from.front() == "<>" ? "" : wanted_.from.front();
    for (auto& one : wanted_.to)
      message.envelope.recipients.push_back({one, {}, 0});
    if (auto read = read_header(path, message); !read)
      return read;
    auto metadata = queue::encode_metadata(message, queue::make_record(message, now));
    if (!metadata)
      return refused(metadata.error().message, path);
    plugin::put_request put{.id = message.id,
                            .state = wanted_.state == "held" ? std::uint32_t{HEDWIG_STATE_HELD} : HEDWIG_STATE_QUEUED,
                            .due = now,
                            .body = {},
                            .metadata = std::move(*metadata)};
    return add(std::move(put), path, true);
  }

  /// What the relay reads from the header of each message it takes: for signing and for the log.
  static result<void> read_header(const fs::path& path, queue::message& into) {
    std::string front;
    auto read = read_body(path, true, [&](std::string_view text) -> result<void> {
      if (front.size() < mail::header_octets_max)
        front += text.substr(0, mail::header_octets_max + 2 - front.size());
      into.envelope.body = std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) > 127; })
                               ? queue::body_type::eight_bit_mime
                               : into.envelope.body;
      into.size += text.size();
      return {};
    });
    if (!read)
      return read;
    auto header = mail::header_block::parse(front);
    if (!header)
      return refused(std::string{mail::to_string_view(header.error())}, path);
    if (auto* subject = header->find("Subject"))
      into.subject = mail::unfold(subject->value, queue::subject_size_max);
    if (auto* from = header->find("From"))
      for (auto& address : mail::addresses_in(from->value))
        if (auto domain = queue::domain_of(address); !domain.empty())
          into.from_domains.push_back(domain);
    return {};
  }

  result<void> add(plugin::put_request put, const fs::path& body, bool mend) {
    std::uint64_t size = 0;
    auto measured = read_body(body, mend, [&](std::string_view text) -> result<void> {
      size += text.size();
      return {};
    });
    if (!measured)
      return measured;
    progress_.add(1, size);
    return filler_.add(std::move(put), size, [&](const spool_store::body_taker& take) {
      return read_body(body, mend, [&](std::string_view text) {
        rope piece;
        piece.append_copy(text);
        return take(piece);
      });
    });
  }

  const spool_options& wanted_;
  spool_filler filler_;
  spool_progress progress_{"importing"};
  std::random_device random_;
  std::uint64_t added_ = 0;
  std::uint64_t existing_ = 0;
};

} // namespace

int spool_import(const spool_setting& where, const spool_options& wanted) {
  if (!wanted.state.empty() && wanted.state != "held" && wanted.state != "queued")
    return spool_refused("--state of an import is queued or held");
  int status = exit_ok;
  auto store = open_spool(where.place, spool_access::write, status);
  if (!store)
    return status;
  importer work{*store, wanted};
  for (auto& word : wanted.words)
    if (auto done = work.take(word); !done) {
      static_cast<void>(work.flush()); // what is sound before it
      status =
          done.error().status == HEDWIG_E_INVALID ? spool_refused(done.error().text()) : spool_failed(done.error());
      break;
    }
  if (auto done = work.flush(); !done)
    return spool_failed(done.error());
  work.end();
  return status;
}

} // namespace hedwig::app
