// SPDX-License-Identifier: Apache-2.0
// A filter that refuses what is called spam and marks the rest, with one fault, named by its setting `fault`, or none:
// hedwig-plugin-check must find it.
#include <hedwig/filter.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace {

using hedwig::sdk::key;
using hedwig::sdk::view;

constexpr auto fault_key = key(HEDWIG_CONFIG_STRING, "fault", "What is wrong with this filter.", 0, "none");
constexpr const hedwig_config_key* keys[] = {&fault_key};
constexpr hedwig_config_schema schema{sizeof schema, std::size(keys), keys};

/// What an instance's sessions share.
struct shared_facts {
  explicit shared_facts(hedwig::sdk::host h, std::string name) : host{h}, fault{std::move(name)} {}
  ~shared_facts() {
    if (late.joinable())
      late.join();
  }
  bool has(std::string_view name) const { return fault == name; }

  hedwig::sdk::host host;
  std::string fault;
  std::size_t octets = 0; ///< of the fault that keeps them here
  int mails = 0;
  int kept = 0;
  std::atomic<int> inside{0};
  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  std::thread late;
};

volatile unsigned char seen = 0;
constexpr std::string_view spam = "an unwanted word";

class faulty_session {
public:
  faulty_session(shared_facts& all, const hedwig_filter_session&) : all_{all} {}

  faulty_session(const faulty_session&) = delete;
  faulty_session& operator=(const faulty_session&) = delete;
  ~faulty_session() {
    if (all_.has("dies-in-the-middle") && reset_after_ == 3)
      std::abort();
  }

  void on_mail(const hedwig_filter_address& sender, hedwig::sdk::op op) {
    auto* raw = op.raw();
    const auto* address = sender.address.data;
    auto is_named = sender.address.size > 0;
    if ((all_.has("forgets-cancelled") && op.cancelled()) || all_.has("never-completes")) {
      op.release();
      return;
    }
    if (all_.has("fails-for-null-sender") && !is_named)
      return op.fail(HEDWIG_E_INTERNAL, "no sender");
    if (all_.has("unknown-status"))
      return op.fail(7, "what is this?");
    if (all_.has("stops-early"))
      return complete_late(std::move(op));
    finish(op, of_mail());
    if (all_.has("completes-twice")) {
      const hedwig_completion again{raw, HEDWIG_OK, 0, nullptr, nullptr};
      all_.host.raw()->complete(all_.host.raw(), &again, 1);
    }
    if (all_.has("looks-later") && is_named)
      seen = static_cast<unsigned char>(*address);
  }

  hedwig::sdk::verdict on_recipient(const hedwig_filter_address& to) {
    if (all_.has("early-edits"))
      return {HEDWIG_CONTINUE, {}, {}, {{HEDWIG_EDIT_ADD_HEADER, "X-Early", "yes"}}};
    if (view(to.address).starts_with("second"))
      return of_second();
    return {};
  }

  hedwig::sdk::verdict on_header(const hedwig_filter_header& field) {
    if (all_.has("fails-for-8-bits"))
      for (auto c : view(field.value))
        if (static_cast<unsigned char>(c) >= 0x80)
          throw hedwig::sdk::failure{HEDWIG_E_INTERNAL, "what is this?"};
    fields_ += view(field.value);
    ++field_count_;
    return {};
  }

  hedwig::sdk::verdict on_body(const hedwig_slice& part) {
    (all_.has("shares-state") ? all_.octets : octets_) += part.size;
    auto text = view(part);
    if (all_.has("judges-pieces"))
      found_ = found_ || text.contains(spam);
    else
      body_ += text;
    if (all_.has("keeps-buffers") && ++all_.kept < 10)
      all_.host.raw()->buf_retain(all_.host.raw(), part.buf);
    return {};
  }

  hedwig::sdk::verdict on_end(const hedwig_filter_message&) {
    found_ = found_ || body_.contains(spam);
    if (found_)
      return {HEDWIG_REJECT, "5.7.1", "the body is not welcome"};
    auto octets = all_.has("shares-state") ? all_.octets : octets_;
    hedwig::sdk::verdict out{HEDWIG_CONTINUE, {}, {}, {{HEDWIG_EDIT_ADD_HEADER, "X-Octets", std::to_string(octets)}}};
    if (fields_.contains("logged"))
      out.action = HEDWIG_QUARANTINE;
    add_fault(out.edits);
    if (all_.has("minds-company")) {
      if (all_.inside++ > 0)
        out.edits.push_back({HEDWIG_EDIT_ADD_HEADER, "X-Crowd", "yes"});
      std::this_thread::sleep_for(std::chrono::milliseconds{1}); // so that others come meanwhile
      --all_.inside;
    }
    return out;
  }

  void on_reset() noexcept {
    reset_after_ = field_count_;
    field_count_ = 0;
    if (all_.has("remembers"))
      return;
    octets_ = all_.octets = 0;
    body_.clear();
    fields_.clear();
    found_ = false;
  }

private:
  hedwig::sdk::verdict of_mail() const {
    if (all_.has("unknown-action"))
      return {17, {}, {}};
    return {};
  }

  hedwig::sdk::verdict of_second() const {
    if (all_.has("4xx-for-reject"))
      return {HEDWIG_REJECT, {}, "no", {}, 450};
    if (all_.has("code-with-accept"))
      return {HEDWIG_ACCEPT, {}, "yes", {}, 250};
    if (all_.has("wrong-enhanced-code"))
      return {HEDWIG_TEMPFAIL, "5.7.1", "later"};
    if (all_.has("reply-of-two-lines"))
      return {HEDWIG_TEMPFAIL, "4.7.1", "later\r\n250 ok"};
    return {HEDWIG_TEMPFAIL, "4.7.1", "not so many"};
  }

  void add_fault(std::vector<hedwig::sdk::edit>& edits) const {
    if (all_.has("value-of-two-lines"))
      edits.push_back({HEDWIG_EDIT_ADD_HEADER, "X-Mine", "one\r\nX-Yours: two"});
    if (all_.has("bad-field-name"))
      edits.push_back({HEDWIG_EDIT_INSERT_HEADER, "X Mine:", "yes", 1});
    if (all_.has("replaces-field-0"))
      edits.push_back({HEDWIG_EDIT_REPLACE_HEADER, "Subject", "yes", 0});
    if (all_.has("bad-folds"))
      edits.push_back({HEDWIG_EDIT_ADD_HEADER, "X-Mine", "one\r\n\r\ntwo", 0, {}, HEDWIG_EDIT_FOLDED});
    if (all_.has("address-in-brackets"))
      edits.push_back({HEDWIG_EDIT_ADD_RECIPIENT, {}, "<archive@example.net>"});
    if (all_.has("two-bodies"))
      edits.insert(edits.end(), 2, {HEDWIG_EDIT_REPLACE_BODY, {}, {}});
    if (all_.has("unknown-edit"))
      edits.push_back({99, "X", "y"});
  }

  /// Completes the first few at once, later ones when the host stops, or after 3 seconds; the fault is that stop does
  /// not wait for it.
  void complete_late(hedwig::sdk::op op) const {
    if (all_.late.joinable() || ++all_.mails != 55)
      return op.finish();
    auto kept = std::make_shared<hedwig::sdk::op>(std::move(op));
    all_.late = std::thread{[kept, &all = all_] {
      std::unique_lock guard{all.mutex};
      all.changed.wait_for(guard, std::chrono::seconds{3}, [&all] { return all.stopping; });
      kept->finish();
    }};
  }

  shared_facts& all_;
  std::size_t octets_ = 0;
  std::string body_;
  std::string fields_;
  bool found_ = false;
  int field_count_ = 0;
  int reset_after_ = 0;
};

class faulty_filter {
public:
  faulty_filter(hedwig::sdk::host h, const hedwig::sdk::config& config)
    : all_{std::make_unique<shared_facts>(h, config.string("fault"))} {}
  ~faulty_filter() {
    if (all_) {
      std::lock_guard guard{all_->mutex};
      all_->stopping = true;
    }
    if (all_)
      all_->changed.notify_all();
  }
  faulty_filter(faulty_filter&&) = default;

  class session : public faulty_session {
  public:
    session(faulty_filter& owner, const hedwig_filter_session& shown) : faulty_session{*owner.all_, shown} {
      if (owner.all_->has("leaks-sessions"))
        new std::string(100, 'x'); // NOLINT: that is the fault
      if (owner.all_->has("fails-to-open"))
        throw hedwig::sdk::failure{HEDWIG_E_INTERNAL, "no"};
    }
    void on_mail(const hedwig_filter_address& sender, hedwig::sdk::op op) {
      faulty_session::on_mail(sender, std::move(op));
    }
    hedwig::sdk::verdict on_recipient(const hedwig_filter_address& to) { return faulty_session::on_recipient(to); }
    hedwig::sdk::verdict on_header(const hedwig_filter_header& field) { return faulty_session::on_header(field); }
    hedwig::sdk::verdict on_body(const hedwig_slice& part) { return faulty_session::on_body(part); }
    hedwig::sdk::verdict on_end(const hedwig_filter_message& shown) { return faulty_session::on_end(shown); }
    void on_reset() noexcept { faulty_session::on_reset(); }
  };

private:
  std::unique_ptr<shared_facts> all_;
};

using face = hedwig::sdk::filter_provider<faulty_filter>;
constexpr auto provider = face::make("faulty", "Refuses a word, and has a fault for the asking.", &schema, 0);

constexpr hedwig_filter make_unclosed() {
  auto made = face::table;
  made.close = nullptr;
  return made;
}
constexpr hedwig_filter unclosed_table = make_unclosed();
constexpr auto unclosed = hedwig::sdk::detail::life<faulty_filter>::make(HEDWIG_FILTER, &unclosed_table, "unclosed",
                                                                         "Opens only.", &schema, 0);

} // namespace

HEDWIG_PLUGIN("org.hedwig.test.filter-faulty", "1.0", "Hedwig", "Apache-2.0", &provider, &unclosed)
