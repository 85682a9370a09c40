// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/lookup_desk.hpp"

#include <optional>
#include <string>
#include <vector>

#include "runtime/dns/mx_rules.hpp"
#include "runtime/plugin/current_call.hpp"
#include "runtime/plugin/host.hpp"
#include "runtime/plugin/instance.hpp"
#include "runtime/plugin/instance_host.hpp"
#include "runtime/plugin/text_view.hpp"
#include "runtime/plugin/timer_queue.hpp"

namespace hedwig::plugin {

namespace {

std::optional<dns::record_type> record_type_of(std::int32_t type) {
  switch (type) {
  case HEDWIG_DNS_A:
  case HEDWIG_DNS_PTR:
  case HEDWIG_DNS_MX:
  case HEDWIG_DNS_TXT:
  case HEDWIG_DNS_AAAA:
    return static_cast<dns::record_type>(type);
  default:
    return std::nullopt;
  }
}

/// The name to ask for; empty when the DNS could not carry it.
std::string name_to_ask(std::string_view text, dns::record_type type) {
  if (type == dns::record_type::ptr)
    if (auto address = dns::ip_address::parse(text))
      return dns::reverse_name(*address);
  if (text.ends_with('.'))
    text.remove_suffix(1);
  return dns::is_host_name(text) ? std::string{text} : std::string{};
}

std::int32_t outcome_of(dns::lookup_status status) {
  switch (status) {
  case dns::lookup_status::ok:
  case dns::lookup_status::null_mx:
    return HEDWIG_DNS_FOUND;
  case dns::lookup_status::nxdomain:
  case dns::lookup_status::invalid_name:
    return HEDWIG_DNS_NXDOMAIN;
  case dns::lookup_status::no_data:
    return HEDWIG_DNS_NO_DATA;
  case dns::lookup_status::timeout:
    return HEDWIG_DNS_TIMEOUT;
  case dns::lookup_status::bogus:
    return HEDWIG_DNS_BOGUS;
  case dns::lookup_status::servfail:
  case dns::lookup_status::overload:
    break;
  }
  return HEDWIG_DNS_FAILED;
}

/// An answer as the plugin sees it.
class shown_answer {
public:
  shown_answer(dns::record_type type, const dns::record_answer& answer) {
    const bool addresses = type == dns::record_type::a || type == dns::record_type::aaaa;
    texts_.reserve(answer.records.size()); // the records point into it
    for (auto& one : answer.records) {
      hedwig_dns_record made{{}, {one.value.data(), one.value.size()}, one.preference, 0};
      if (auto address = addresses ? dns::ip_address::from_bytes(one.value) : std::nullopt) {
        auto& text = texts_.emplace_back(address->text());
        made.data = {reinterpret_cast<const std::uint8_t*>(one.value.data()), one.value.size()};
        made.text = {text.data(), text.size()};
      }
      records_.push_back(made);
    }
    raw_ = {.struct_size = sizeof raw_,
            .outcome = outcome_of(answer.status),
            .flags = answer.secure ? HEDWIG_DNS_SECURE : 0,
            .record_count = static_cast<std::uint32_t>(records_.size()),
            .records = records_.data(),
            .ttl = std::chrono::nanoseconds{answer.ttl}.count(),
            .why = {answer.why.data(), answer.why.size()}};
  }
  [[nodiscard]] const hedwig_dns_answer* raw() const noexcept { return &raw_; }

private:
  std::vector<std::string> texts_;
  std::vector<hedwig_dns_record> records_;
  hedwig_dns_answer raw_{};
};

dns::record_answer without_records(dns::lookup_status status, std::string why) {
  return {.status = status, .records = {}, .why = std::move(why)};
}

} // namespace

void lookup_desk::use(dns::resolver* resolver) {
  {
    std::unique_lock guard{resolver_mutex_};
    resolver_ = resolver;
  }
  if (resolver != nullptr)
    return;
  std::vector<std::uint64_t> left;
  {
    std::lock_guard guard{mutex_};
    for (auto& [id, one] : open_)
      left.push_back(id);
  }
  for (auto id : left)
    services_.post([this, id] { finish(id, without_records(dns::lookup_status::servfail, "the host is ending")); });
}

bool lookup_desk::available() const {
  std::shared_lock guard{resolver_mutex_};
  return resolver_ != nullptr;
}

hedwig_status lookup_desk::open(const instance_host& asker, std::weak_ptr<instance> owner,
                                const hedwig_dns_request& request, std::uint64_t* id) {
  auto type = record_type_of(request.type);
  auto name = type ? name_to_ask(text_view(request.name), *type) : std::string{};
  if (name.empty() || request.answered == nullptr)
    return HEDWIG_E_INVALID;
  std::shared_lock guard{resolver_mutex_};
  if (resolver_ == nullptr)
    return HEDWIG_E_UNAVAILABLE;
  auto made = enter({&asker, std::move(owner), request.answered, request.context, *type});
  if (made == 0)
    return HEDWIG_E_BUSY;
  if (id != nullptr)
    *id = made;
  if (request.deadline != 0)
    set_deadline(made, asker, request.deadline);
  resolver_->records(name, *type, [this, made](dns::record_answer answer) {
    services_.post([this, made, answer = std::move(answer)] { finish(made, answer); });
  });
  return HEDWIG_OK;
}

std::uint64_t lookup_desk::enter(lookup made) {
  std::lock_guard guard{mutex_};
  auto& count = counts_[made.asker];
  if (count >= services_.options().lookups_max)
    return 0;
  ++count;
  open_.emplace(++last_id_, std::move(made));
  return last_id_;
}

void lookup_desk::set_deadline(std::uint64_t id, const instance_host& asker, hedwig_time_ns deadline) {
  auto due = steady_time{std::chrono::nanoseconds{deadline}};
  auto timer = services_.timers().start(due, &asker, [this, id] {
    finish(id, without_records(dns::lookup_status::timeout, "no answer until the deadline"));
  });
  services_.wake();
  std::lock_guard guard{mutex_};
  if (auto at = open_.find(id); at != open_.end())
    at->second.timer = timer;
}

lookup_desk::lookups::node_type lookup_desk::leave(std::uint64_t id, const instance_host* asker) {
  lookups::node_type gone;
  {
    std::lock_guard guard{mutex_};
    auto at = open_.find(id);
    if (at == open_.end() || (asker != nullptr && at->second.asker != asker))
      return gone;
    if (auto count = counts_.find(at->second.asker); --count->second == 0)
      counts_.erase(count);
    gone = open_.extract(at);
  }
  if (gone.mapped().timer != 0)
    services_.timers().cancel(gone.mapped().timer, gone.mapped().asker);
  return gone;
}

void lookup_desk::finish(std::uint64_t id, const dns::record_answer& answer) {
  auto left = leave(id);
  if (left.empty())
    return;
  auto& one = left.mapped();
  auto alive = one.owner.lock();
  if (!alive)
    return;
  shown_answer shown{one.type, answer};
  call_scope scope{alive->name().c_str(), "dns answer"};
  one.answered(one.context, shown.raw());
}

bool lookup_desk::cancel(const instance_host& asker, std::uint64_t id) { return !leave(id, &asker).empty(); }

void lookup_desk::drop_all(const instance_host& asker) {
  std::vector<std::uint64_t> mine;
  {
    std::lock_guard guard{mutex_};
    if (!counts_.contains(&asker))
      return;
    for (auto& [id, one] : open_)
      if (one.asker == &asker)
        mine.push_back(id);
  }
  for (auto id : mine)
    static_cast<void>(leave(id, &asker));
}

} // namespace hedwig::plugin
