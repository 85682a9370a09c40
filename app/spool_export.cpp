// SPDX-License-Identifier: Apache-2.0
#include "app/spool_export.hpp"

#include "actors/console_json.hpp"
#include "app/command_line.hpp"
#include "app/spool_files.hpp"
#include "app/spool_filler.hpp"
#include "app/spool_walk.hpp"

#include <Poco/Base64Encoder.h>
#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <sstream>

namespace hedwig::app {

namespace {

std::string base64(std::string_view bytes) {
  std::ostringstream text;
  Poco::Base64Encoder encoder{text};
  encoder.rdbuf()->setLineLength(0);
  encoder << bytes;
  encoder.close();
  return std::move(text).str();
}

class exporter {
public:
  exporter(spool_store& store, const spool_filter& filter, std::string folder)
    : store_{store}, filter_{filter}, folder_{std::move(folder)} {}

  result<void> all() {
    return spool_walk{store_, filter_.states()}.run([this](auto& page) -> result<void> {
      for (auto& entry : page)
        if (auto one = understand(std::move(entry)); filter_.wants(one))
          if (auto written = write(one); !written)
            return written;
      return {};
    });
  }

  result<void> one(const message_id& id) {
    auto found = store_.stat(id);
    return found ? write(understand(std::move(*found))) : std::unexpected{found.error()};
  }

  int end() {
    if (auto synced = sync_folder(folder_); !synced)
      return spool_failed(synced.error());
    std::cout << fmt::format("{} messages written to {}{}\n", messages_, folder_,
                             damaged_ > 0 ? fmt::format(", {} of them damaged", damaged_) : "");
    return damaged_ > 0 || store_.is_damaged() ? exit_failed : exit_ok;
  }

private:
  result<void> write(const spool_message& one) {
    auto name = folder_ + "/" + one.entry.id.text();
    file_writer body{name + ".eml"};
    auto read = store_.read(one.entry, [&](const rope& piece) { return body.write(piece); });
    auto unreadable = !read && read.error().status != HEDWIG_E_INTERNAL && read.error().os_errno == 0;
    if (!read && !unreadable)
      return read;
    if (auto done = body.finish(); !done)
      return done;
    auto why = !read ? read.error().message : damage_text(one);
    if (!why.empty()) {
      ++damaged_;
      std::cerr << one.entry.id.text() << ": damaged: " << printable(why) << '\n';
    }
    file_writer envelope{name + ".json"};
    if (auto written = envelope.write(envelope_text(one, why)); !written)
      return written;
    ++messages_;
    progress_.add(1, one.entry.body_size);
    return envelope.finish();
  }

  static std::string envelope_text(const spool_message& one, const std::string& damage) {
    auto object = whole_object(one);
    object.set("format", "hedwig-envelope 1");
    object.set("due_nanoseconds", one.entry.due.time_since_epoch().count());
    object.set("metadata", base64(own_metadata(one.entry, one.known)));
    if (!damage.empty())
      object.set("damaged", console::utf8_text(damage));
    std::ostringstream text;
    object.stringify(text, 2);
    text << '\n';
    return std::move(text).str();
  }

  spool_store& store_;
  const spool_filter& filter_;
  std::string folder_;
  spool_progress progress_{"exporting"};
  std::uint64_t messages_ = 0;
  std::uint64_t damaged_ = 0;
};

} // namespace

int spool_export(const spool_setting& where, const spool_options& wanted) {
  auto filter = spool_filter::make(wanted, clock::system().wall());
  if (!filter)
    return spool_refused(filter.error());
  std::error_code failed;
  std::filesystem::create_directories(wanted.out, failed);
  if (failed)
    return spool_refused(wanted.out + ": " + failed.message());
  int status = exit_ok;
  auto store = open_spool(where.place, spool_access::read, status);
  if (!store)
    return status;
  exporter work{*store, *filter, wanted.out};
  if (wanted.all)
    if (auto done = work.all(); !done)
      return spool_failed(done.error());
  for (auto& word : wanted.words) {
    auto id = message_id::parse(word);
    if (!id)
      return spool_refused("not a message id: " + word);
    if (auto done = work.one(*id); !done)
      return spool_failed(done.error());
  }
  return work.end();
}

} // namespace hedwig::app
