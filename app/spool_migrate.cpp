// SPDX-License-Identifier: Apache-2.0
// Copies in groups, each verified as soon as it is durable. A mark in the target's folder names the source from the
// first message to the last, so that a run that was interrupted is known and can be gone on with.
#include "app/spool_migrate.hpp"

#include "actors/console_json.hpp"
#include "app/command_line.hpp"
#include "app/spool_files.hpp"
#include "app/spool_filler.hpp"
#include "app/spool_kinds.hpp"
#include "app/spool_walk.hpp"

#include <Poco/Exception.h>
#include <Poco/JSON/Parser.h>
#include <fmt/format.h>
#include <hedwig/storage_crc.hpp>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>

namespace hedwig::app {

namespace {

namespace fs = std::filesystem;

/// What a message in the target must turn out to be.
struct expectation {
  std::uint32_t state = 0;
  wall_time due{};
  std::string metadata;
  std::uint64_t size = 0;
  std::uint32_t sum = 0;
};

std::uint32_t sum_of(const rope& piece, std::uint32_t before) {
  for (auto& part : piece.parts())
    before = sdk::crc32c(part.view(), before);
  return before;
}

std::string canonical(const std::string& path) {
  std::error_code failed;
  auto whole = fs::weakly_canonical(path, failed);
  return failed ? path : whole.string();
}

class migration {
public:
  migration(spool_store& from, spool_store& to)
    : from_{from}, to_{to}, filler_{to, [this](auto& one) { return filled(one); }} {}

  /// Copies into an empty store, or goes on where an earlier run from the same source ended.
  result<void> run(bool resumed) {
    if (resumed)
      if (auto done = drop_what_left_the_source(); !done)
        return done;
    auto walked = spool_walk{from_, every_state}.run([this](auto& page) -> result<void> {
      for (auto& entry : page)
        if (auto done = copy(std::move(entry)); !done)
          return done;
      return {};
    });
    if (walked)
      walked = filler_.flush();
    return walked ? verify_count() : walked;
  }

  [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }
  [[nodiscard]] std::uint64_t octets() const noexcept { return octets_; }
  [[nodiscard]] std::uint64_t damaged() const noexcept { return damaged_; }

private:
  result<void> copy(plugin::storage_entry entry) {
    auto one = understand(std::move(entry));
    auto why = (one.entry.flags & HEDWIG_ENTRY_DAMAGED) != 0 || !one.known ? damage_text(one) : std::string{};
    auto set_aside = one.entry.state == HEDWIG_STATE_QUARANTINED && queue::damage_of(one.entry.metadata, one.entry.id);
    auto readable = sum_body(one.entry, why);
    if (!readable)
      return std::unexpected{readable.error()};
    expectation wanted{.state = one.entry.state,
                       .due = one.entry.due,
                       .metadata = own_metadata(one.entry, one.known),
                       .size = readable->first,
                       .sum = readable->second};
    if (!why.empty() && !set_aside) {
      ++damaged_;
      std::cout << fmt::format("{}  {:11}  set aside in the target: {}\n", one.entry.id.text(),
                               console::name_of_state(one.entry.state), printable(why));
      wanted.state = HEDWIG_STATE_QUARANTINED;
      wanted.metadata = queue::damaged_metadata(wanted.metadata, one.entry.id, why);
    }
    ++messages_;
    octets_ += wanted.size;
    progress_.add(1, wanted.size);
    return put(one.entry, std::move(wanted));
  }

  /// Size and sum of what can be read of the body; `why` is set when that is not all.
  result<std::pair<std::uint64_t, std::uint32_t>> sum_body(const plugin::storage_entry& entry, std::string& why) {
    std::pair<std::uint64_t, std::uint32_t> found{0, 0};
    auto read = from_.read(entry, [&](const rope& piece) -> result<void> {
      found.first += piece.size();
      found.second = sum_of(piece, found.second);
      return {};
    });
    if (read)
      return found;
    auto damage = read.error().status == HEDWIG_E_CORRUPT || read.error().status == HEDWIG_E_NOT_FOUND;
    if (!damage)
      return std::unexpected{read.error()};
    if (why.empty())
      why = read.error().message;
    return found;
  }

  result<void> put(const plugin::storage_entry& entry, expectation wanted) {
    plugin::put_request put{.id = entry.id,
                            .state = wanted.state,
                            .due = wanted.due,
                            .body = {},
                            .metadata = wanted.metadata,
                            .retry = true};
    auto size = wanted.size;
    expected_.insert_or_assign(entry.id, std::move(wanted));
    return filler_.add(std::move(put), size, [&](const spool_store::body_taker& take) {
      std::uint64_t given = 0;
      auto read = from_.read(entry, [&](const rope& piece) -> result<void> {
        given += piece.size();
        return take(piece);
      });
      return given == size ? result<void>{} : read; // of a damaged one the part that can be read
    });
  }

  // ---- verifying

  result<void> filled(const spool_filler::filled& one) {
    auto node = expected_.extract(one.id);
    auto& wanted = node.mapped();
    auto found = to_.stat(one.id);
    if (!found)
      return std::unexpected{found.error()};
    auto same = found->state == wanted.state && found->due == wanted.due && found->metadata == wanted.metadata;
    if (!same && !one.fresh) { // it changed in the source since an earlier run
      auto moved = to_.move({.id = one.id,
                             .hint = found->hint,
                             .revision = found->revision,
                             .state = wanted.state,
                             .due = wanted.due,
                             .metadata = wanted.metadata,
                             .replace_metadata = true});
      if (!moved)
        return std::unexpected{moved.error()};
      found->hint = moved->hint;
    } else if (!same) {
      return differs(one.id, "state, due time or metadata");
    }
    std::uint32_t sum = 0;
    auto read = to_.read(*found, [&](const rope& piece) -> result<void> {
      sum = sum_of(piece, sum);
      return {};
    });
    if (!read)
      return read;
    return found->body_size == wanted.size && sum == wanted.sum ? result<void>{} : differs(one.id, "its body");
  }

  static result<void> differs(const message_id& id, const char* what) {
    return std::unexpected{error{HEDWIG_E_CORRUPT,
                                 fmt::format("read back, {} differ{} in the target", what, what[0] == 'i' ? "s" : ""),
                                 id.text(), 0}};
  }

  result<void> verify_count() {
    auto found = to_.stats();
    if (!found)
      return std::unexpected{found.error()};
    std::uint64_t there = 0;
    for (auto& state : found->states)
      there += state.messages;
    if (there == messages_)
      return {};
    return std::unexpected{error{HEDWIG_E_CORRUPT,
                                 fmt::format("the target holds {} messages, the source {}", there, messages_),
                                 to_.place().path, 0}};
  }

  /// Delivered or removed there since the run that was interrupted: it must not come back.
  result<void> drop_what_left_the_source() {
    return spool_walk{to_, every_state}.run([this](auto& page) -> result<void> {
      for (auto& entry : page) {
        auto there = from_.stat(entry.id);
        if (there || there.error().status != HEDWIG_E_NOT_FOUND)
          continue;
        if (auto removed = to_.remove(entry.id); !removed)
          return removed;
      }
      return {};
    });
  }

  spool_store& from_;
  spool_store& to_;
  spool_filler filler_;
  std::map<message_id, expectation> expected_; ///< of what the filler holds
  spool_progress progress_{"migrating"};
  std::uint64_t messages_ = 0;
  std::uint64_t octets_ = 0;
  std::uint64_t damaged_ = 0;
};

/// The mark in the folder of the target.
class migration_mark {
public:
  migration_mark(const spool_place& from, const spool_place& to)
    : path_{to.path + "/" + std::string{migration_mark_name}}, type_{from.type}, source_{canonical(from.path)} {}

  [[nodiscard]] bool is_there() const {
    std::error_code failed;
    return fs::exists(path_, failed);
  }

  [[nodiscard]] bool names_source() const {
    auto text = read_file(path_, 64 * 1024);
    try {
      auto object = Poco::JSON::Parser{}.parse(text ? *text : "").extract<Poco::JSON::Object::Ptr>();
      return object->getValue<std::string>("from") == type_ && object->getValue<std::string>("path") == source_;
    } catch (const Poco::Exception&) {
      return false;
    }
  }

  result<void> set() const {
    Poco::JSON::Object object;
    object.set("from", type_);
    object.set("path", source_);
    file_writer file{path_};
    if (auto written = file.write(console::text_of(object)); !written)
      return written;
    if (auto done = file.finish(); !done)
      return done;
    return sync_folder(fs::path{path_}.parent_path());
  }

  result<void> remove() const {
    std::error_code failed;
    fs::remove(path_, failed);
    return sync_folder(fs::path{path_}.parent_path());
  }

private:
  std::string path_;
  std::string type_;
  std::string source_;
};

bool is_empty(const plugin::storage_statistics& found) {
  return std::ranges::all_of(found.states, [](auto& state) { return state.messages == 0; });
}

/// `through`: every message of the source is in the target, read back. A failure before that has none of them there.
int migrate(const spool_place& source, const spool_place& target, bool& through) {
  int status = exit_ok;
  auto from = open_spool(source, spool_access::read, status);
  if (!from)
    return status;
  migration_mark mark{source, target};
  auto resumed = mark.is_there();
  if (resumed && !mark.names_source())
    return spool_refused(target.path + " holds part of another spool: give an empty folder with --to-path");
  auto to = open_spool(target, spool_access::write, status);
  if (!to)
    return status;
  auto before = to->stats();
  if (!before)
    return spool_failed(before.error());
  if (!resumed && !is_empty(*before))
    return spool_refused(target.path + " holds messages already: give an empty folder with --to-path");
  if (auto set = mark.set(); !set)
    return spool_failed(set.error());
  migration work{*from, *to};
  if (auto done = work.run(resumed); !done) {
    spool_failed(done.error());
    std::cerr << "The source is as it was. Once mended, the same command goes on.\n";
    return exit_failed;
  }
  if (auto removed = mark.remove(); !removed)
    return spool_failed(removed.error());
  through = true;
  auto damaged = work.damaged() > 0 || from->is_damaged();
  std::cout << fmt::format("{} messages, {} octets copied from {} to {} and read back{}\n", work.messages(),
                           work.octets(), source.type, target.type,
                           work.damaged() > 0 ? fmt::format("; {} of them are damaged", work.damaged())
                           : damaged          ? "; a part of the source cannot be read"
                                              : "");
  return damaged ? exit_failed : exit_ok;
}

} // namespace

int spool_migrate(const spool_setting& where, const spool_options& wanted) {
  auto source = where.place;
  auto target = where.place;
  source.type = wanted.from.front();
  target.type = wanted.to.front();
  if (target.type.empty())
    target.type = where.place.type == source.type ? "rocksdb" : where.place.type;
  if (!wanted.from_path.empty())
    source.path = wanted.from_path;
  if (!wanted.to_path.empty())
    target.path = wanted.to_path;
  if (source.type == target.type && canonical(source.path) == canonical(target.path))
    return spool_refused("source and target are the same: name another folder with --to-path");
  auto stays = canonical(source.path) == canonical(target.path);
  auto through = false;
  auto status = migrate(source, target, through);
  if (!through)
    return status;
  if (!wanted.retire) {
    if (stays)
      std::cout << "both spools are in " << target.path
                << " now, and a relay does not start on two: move the files of the old one away (--retire does)\n";
    return status;
  }
  if (auto retired = retire_spool(source.path, source.type); !retired)
    return spool_failed(retired.error());
  std::cout << "the files of the source are now .migrated-*; remove them when you like\n";
  return status;
}

} // namespace hedwig::app
