// SPDX-License-Identifier: Apache-2.0
// The filter providers "dnsbl" and, built with HEDWIG_DNSBL_TAGS, "dnsbl-tag": lists in the DNS of clients and domains.
#include <hedwig/dns.hpp>
#include <hedwig/filter.hpp>
#include <hedwig/reloadable.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "lists.hpp"

namespace {

using namespace hedwig::filter_dnsbl;
using hedwig::sdk::verdict;
using hedwig::sdk::view;

/// What the sessions of one instance share.
struct dnsbl_state {
  dnsbl_state(hedwig::sdk::host h, const hedwig::sdk::config& config)
    : host{h}, dns{h}, listed{h, HEDWIG_METRIC_COUNTER, "listed", "", "Answers of lists that counted."},
      unanswered{h, HEDWIG_METRIC_COUNTER, "unanswered", "", "Questions to lists that came to nothing in time."},
      refused{h, HEDWIG_METRIC_COUNTER, "refused", "", "Senders refused or put off."},
      lists{std::make_shared<const list_set>(read_lists(config))} {}

  hedwig::sdk::host host;
  hedwig::sdk::dns dns;
  hedwig::sdk::metric listed;
  hedwig::sdk::metric unanswered;
  hedwig::sdk::metric refused;
  hedwig::sdk::reloadable<const list_set> lists;
};

/// All questions of one MAIL. Answers come on the host's threads; the last one completes the op.
class inquiry : public std::enable_shared_from_this<inquiry> {
public:
  inquiry(dnsbl_state& owner, std::shared_ptr<const list_set> lists, std::string client, std::string domain,
          hedwig::sdk::op op)
    : owner_{owner}, lists_{std::move(lists)}, client_{std::move(client)}, domain_{std::move(domain)}, op_{std::move(
                                                                                                           op)} {}

  void ask(const client_address* client) {
    auto deadline = owner_.host.steady() + lists_->timeout.count();
    for (auto& one : lists_->zones) {
      auto name = one.of_domains      ? name_of_domain(domain_, one.name)
                  : client != nullptr ? name_of_address(*client, one.name)
                                      : std::string{};
      if (!name.empty())
        ask(one, name, deadline);
    }
    settled(); // this function's own part
  }

  /// What a message is tagged with; empty: nothing. Once the op is completed.
  [[nodiscard]] std::string tag() const {
    std::lock_guard lock{mutex_};
    return lists_->tag_at && score_ >= *lists_->tag_at ? "score=" + std::to_string(score_) + found_ : std::string{};
  }

private:
  void ask(const zone& one, const std::string& name, hedwig_time_ns deadline) {
    {
      std::lock_guard lock{mutex_};
      ++open_;
    }
    try {
      owner_.dns.ask(
          HEDWIG_DNS_A, name,
          [self = shared_from_this(), &one](const hedwig::sdk::dns_answer& answer) { self->take(one, answer); },
          deadline);
    } catch (const hedwig::sdk::failure&) {
      owner_.unanswered.add();
      settled();
    }
  }

  void take(const zone& from, const hedwig::sdk::dns_answer& answer) {
    std::vector<std::array<std::uint8_t, 4>> addresses;
    for (auto& record : answer.records())
      if (record.data.size == 4)
        addresses.push_back({record.data.data[0], record.data.data[1], record.data.data[2], record.data.data[3]});
    if (answer.temporary())
      owner_.unanswered.add();
    if (auto weight = from.weigh(addresses); weight != 0) {
      owner_.listed.add();
      std::lock_guard lock{mutex_};
      score_ += weight;
      found_ += "; " + from.name + "=" + std::to_string(weight);
      if (weight > 0)
        (from.of_domains ? domain_listed_ : client_listed_) += (", " + from.name);
    }
    settled();
  }

  void settled() {
    verdict answer;
    {
      std::lock_guard lock{mutex_};
      if (--open_ > 0)
        return;
      answer = judge();
    }
    if (answer.action != HEDWIG_CONTINUE)
      owner_.refused.add();
    hedwig::sdk::finish(op_, answer);
  }

  verdict judge() const {
    auto reject = lists_->reject_at && score_ >= *lists_->reject_at;
    if (!reject && !(lists_->tempfail_at && score_ >= *lists_->tempfail_at))
      return {};
    owner_.host.log(HEDWIG_LOG_INFO, reject ? "a listed sender was refused" : "a listed sender was put off",
                    {{"client", client_}, {"domain", domain_}, {"score", std::to_string(score_)}, {"lists", found_}});
    std::string text;
    if (!client_listed_.empty())
      text = "Client address " + client_ + " is listed in " + client_listed_.substr(2);
    if (!domain_listed_.empty())
      (text += text.empty() ? "" : "; ") += "Sender domain is listed in " + domain_listed_.substr(2);
    if (text.empty())
      text = "Refused by local policy";
    text.resize(std::min<std::size_t>(text.size(), 1000));
    if (reject)
      return {HEDWIG_REJECT, "5.7.1", text, {}, 550};
    return {HEDWIG_TEMPFAIL, "4.7.1", text, {}, 450};
  }

  dnsbl_state& owner_;
  std::shared_ptr<const list_set> lists_;
  const std::string client_;
  const std::string domain_;
  hedwig::sdk::op op_;
  mutable std::mutex mutex_;
  int open_ = 1;
  std::int64_t score_ = 0;
  std::string found_;
  std::string client_listed_;
  std::string domain_listed_;
};

class dnsbl_session {
public:
  dnsbl_session(std::shared_ptr<dnsbl_state> shared, const hedwig_filter_session& shown) : shared_{std::move(shared)} {
    learn(shown);
  }

  verdict on_helo(const hedwig_filter_session& shown) { return learn(shown); }
  verdict on_auth(const hedwig_filter_session& shown) { return learn(shown); }

  void on_mail(const hedwig_filter_address& sender, hedwig::sdk::op op) {
    auto lists = shared_->lists.current();
    inquiry_.reset();
    if (is_exempt(*lists))
      return op.finish();
    auto address = view(sender.address);
    auto at = address.rfind('@');
    std::string domain{at == address.npos ? "" : address.substr(at + 1)};
    auto hidden = !client_ || (!lists->check_private && is_private(*client_));
    inquiry_ = std::make_shared<inquiry>(*shared_, lists, peer_, std::move(domain), std::move(op));
    // Nothing of this session may be touched once the op is completed, which this call may do.
    auto asking = inquiry_;
    auto client = client_;
    asking->ask(hidden ? nullptr : &*client);
  }

  void on_reset() noexcept { inquiry_.reset(); }

protected:
  std::shared_ptr<inquiry> inquiry_;
  std::shared_ptr<dnsbl_state> shared_;

private:
  verdict learn(const hedwig_filter_session& shown) {
    peer_ = view(shown.peer);
    client_ = client_address::parse(peer_);
    authenticated_ = shown.identity.size > 0;
    listener_ = view(shown.listener);
    return {};
  }

  bool is_exempt(const list_set& lists) const {
    if (authenticated_ && lists.exempt_authenticated)
      return true;
    if (!lists.listeners.empty() && std::ranges::find(lists.listeners, listener_) == lists.listeners.end())
      return true;
    return client_ && std::ranges::any_of(lists.exempt_clients, [&](auto& one) { return one.contains(*client_); });
  }

  std::string peer_;
  std::string listener_;
  std::optional<client_address> client_;
  bool authenticated_ = false;
};

class dnsbl_filter {
public:
  static void validate(const hedwig::sdk::config& config) { static_cast<void>(read_lists(config)); }

  dnsbl_filter(hedwig::sdk::host host, const hedwig::sdk::config& config)
    : shared_{std::make_shared<dnsbl_state>(host, config)} {}

  void reload(const hedwig::sdk::config& config) {
    shared_->lists.replace(std::make_shared<const list_set>(read_lists(config)));
  }

  class session : public dnsbl_session {
  public:
    session(dnsbl_filter& owner, const hedwig_filter_session& shown) : dnsbl_session{owner.shared_, shown} {}
    void on_mail(const hedwig_filter_address& sender, hedwig::sdk::op op) {
      dnsbl_session::on_mail(sender, std::move(op));
    }
    verdict on_helo(const hedwig_filter_session& shown) { return dnsbl_session::on_helo(shown); }
    verdict on_auth(const hedwig_filter_session& shown) { return dnsbl_session::on_auth(shown); }
#ifdef HEDWIG_DNSBL_TAGS
    /// Marks what comes from listed senders, and lets nobody bring a mark of his own.
    verdict on_end(const hedwig_filter_message&) {
      auto name = shared_->lists.current()->tag_header;
      verdict out{HEDWIG_CONTINUE, {}, {}, { { HEDWIG_EDIT_DELETE_HEADER, name, {}, 0 } }};
      if (auto value = inquiry_ ? inquiry_->tag() : std::string{}; !value.empty())
        out.edits.push_back({HEDWIG_EDIT_ADD_HEADER, name, value});
      return out;
    }
#endif
  };

private:
  std::shared_ptr<dnsbl_state> shared_;
};

#ifdef HEDWIG_DNSBL_TAGS
constexpr auto provider = hedwig::sdk::filter_provider<dnsbl_filter>::make(
    "dnsbl-tag", "Refuses, puts off or marks mail by lists of clients and domains in the DNS.", &schema, 0);
} // namespace
HEDWIG_PLUGIN("org.hedwig.filter-dnsbl-tag", "1.0.0", "Hedwig", "Apache-2.0", &provider)
#else
constexpr auto provider = hedwig::sdk::filter_provider<dnsbl_filter>::make(
    "dnsbl", "Refuses or puts off mail by lists of clients and domains in the DNS.", &schema, 0);
} // namespace
HEDWIG_PLUGIN("org.hedwig.filter-dnsbl", "1.0.0", "Hedwig", "Apache-2.0", &provider)
#endif
