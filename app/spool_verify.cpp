// SPDX-License-Identifier: Apache-2.0
#include "app/spool_verify.hpp"

#include "actors/console_json.hpp"
#include "app/command_line.hpp"
#include "app/spool_walk.hpp"

#include <fmt/format.h>

#include <iostream>

namespace hedwig::app {

namespace {

constexpr const char* lost_text = "sound, but the store's index by due time has lost it: no delivery finds it; "
                                  "hedwig spool migrate to a fresh folder does";

class verifier {
public:
  verifier(spool_store& store, const spool_options& wanted) : store_{store}, wanted_{wanted} {}

  int run() {
    auto walked = spool_walk{store_, every_state}.run([this](auto& page) { return see(page); });
    if (!walked)
      return spool_failed(walked.error());
    auto found = damaged_ > 0 || known_ > 0;
    auto summary = fmt::format("{} messages, {} octets: {} damaged{}", messages_, octets_, damaged_,
                               wanted_.set_aside && damaged_ > 0 ? fmt::format(", {} of them set aside", moved_) : "");
    if (known_ > 0)
      summary += fmt::format(", {} set aside before", known_);
    auto lost = damaged_ == 0 && known_ == 0 && store_.is_damaged();
    if (!wanted_.json)
      std::cout << summary
                << (lost    ? ", but a part of the store cannot be read"
                    : found ? ""
                            : ": all is well")
                << std::endl;
    return damaged_ > 0 || lost ? exit_failed : exit_ok;
  }

private:
  result<void> see(spool_walk::page& page) {
    for (auto& entry : page) {
      ++messages_;
      octets_ += entry.body_size;
      auto one = understand(std::move(entry));
      auto why = fault_of(one);
      if (!why.empty())
        if (auto told = tell(one, why); !told)
          return told;
    }
    std::cout.flush();
    progress_.add(page.size(), octets_ - shown_);
    shown_ = octets_;
    return {};
  }

  std::string fault_of(const spool_message& one) {
    auto damage = damage_text(one);
    if ((one.entry.flags & HEDWIG_ENTRY_DAMAGED) != 0)
      return damage;
    if (!damage.empty() && one.entry.state == HEDWIG_STATE_QUARANTINED &&
        queue::damage_of(one.entry.metadata, one.entry.id)) {
      ++known_;
      return {};
    }
    if (!one.known)
      return damage;
    auto read = store_.read(one.entry, [](const rope&) { return result<void>{}; });
    if (!read)
      return read.error().status == HEDWIG_E_NOT_FOUND ? "its body is not there" : read.error().message;
    return (one.entry.flags & HEDWIG_ENTRY_UNINDEXED) != 0 ? lost_text : "";
  }

  result<void> tell(const spool_message& one, const std::string& why) {
    ++damaged_;
    auto state = console::name_of_state(one.entry.state);
    if (wanted_.json) {
      Poco::JSON::Object object;
      object.set("id", one.entry.id.text());
      object.set("state", state);
      object.set("reason", console::utf8_text(why));
      std::cout << console::text_of(object);
    } else {
      std::cout << fmt::format("{}  {:11}  {}\n", one.entry.id.text(), state, printable(why));
    }
    return wanted_.set_aside ? set_aside(one, why) : result<void>{};
  }

  result<void> set_aside(const spool_message& one, const std::string& why) {
    if (why == lost_text)
      return {}; // it is well where it is
    plugin::move_request move{.id = one.entry.id,
                              .hint = one.entry.hint,
                              .revision = one.entry.revision,
                              .state = HEDWIG_STATE_QUARANTINED,
                              .due = one.entry.due,
                              .metadata = queue::damaged_metadata(one.entry.metadata, one.entry.id, why),
                              .replace_metadata = true};
    auto done = store_.move(std::move(move));
    if (!done)
      return std::unexpected{done.error()};
    ++moved_;
    return {};
  }

  spool_store& store_;
  const spool_options& wanted_;
  spool_progress progress_{"verifying"};
  std::uint64_t messages_ = 0;
  std::uint64_t octets_ = 0;
  std::uint64_t shown_ = 0;
  std::uint64_t damaged_ = 0;
  std::uint64_t moved_ = 0;
  std::uint64_t known_ = 0; ///< in quarantine for their damage
};

} // namespace

int spool_verify(const spool_setting& where, const spool_options& wanted) {
  int status = exit_ok;
  auto store = open_spool(where.place, wanted.set_aside ? spool_access::write : spool_access::read, status);
  return store ? verifier{*store, wanted}.run() : status;
}

} // namespace hedwig::app
