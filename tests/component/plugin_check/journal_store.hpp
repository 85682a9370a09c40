// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/storage.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace hedwig::test {

/// A store as simple as one can be that keeps the contract: everything in memory, and a journal of one file that is
/// read at start. It has one fault, named by its setting `fault`, or none; hedwig-plugin-check must find it.
class journal_store : public sdk::store {
public:
  journal_store(const sdk::host& h, const sdk::config& c);
  ~journal_store() override;

  hedwig_storage_limits limits() const override;
  void open() override;
  void close() noexcept override;
  void commit(std::span<sdk::pending_write> group) override;
  sdk::stored_entry stat(const hedwig_message_request& request) override;
  sdk::read_slices read(const hedwig_message_request& request) override;
  sdk::entry_page list(const hedwig_list_request& request, const claim_times* claim) override;
  sdk::state_stats stats() override;
  void tick(hedwig_time_ns steady) override;

private:
  struct message {
    std::uint32_t state = 0;
    hedwig_time_ns due = 0;
    std::uint64_t revision = 0;
    std::string metadata;
    std::shared_ptr<const std::string> body = std::make_shared<const std::string>();
  };
  using id_text = std::string; ///< 16 bytes
  using messages = std::map<id_text, message>;

  bool has_fault(std::string_view name) const { return fault_ == name; }
  void apply(sdk::pending_write& one, messages& next, std::string& journal);
  void put(sdk::pending_write& one, messages& next, std::string& journal);
  void move(sdk::pending_write& one, messages& next, std::string& journal);
  void remove(sdk::pending_write& one, messages& next, std::string& journal);
  void append_to_journal(std::string_view text);
  void replay();
  const message& find(const hedwig_msg_id& id) const;
  sdk::stored_entry entry_of(const id_text& id, const message& one, bool with_metadata) const;

  std::string path_;
  std::string fault_;
  int file_ = -1;
  std::uint64_t size_ = 0; ///< of the journal that is durable
  bool broken_ = false;    ///< a sync failed
  std::string held_back_;  ///< of the fault that writes too late
  mutable std::mutex mutex_;
  messages messages_;
  std::map<std::uint64_t, std::string> stages_;
  std::uint64_t last_stage_ = 0;
  std::uint64_t reads_ = 0;
};

} // namespace hedwig::test
