// SPDX-License-Identifier: Apache-2.0
#include "app/plugin_host/guest.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>

#include "runtime/plugin/timer_queue.hpp"

namespace hedwig::plugin_host {

using plugin::wire::frame;
using plugin::wire::reader;
using plugin::wire::writer;

namespace {

/// The relay gives calls up by itself; this is for the plugin's eyes, and to tell who never answers.
constexpr std::chrono::milliseconds slack{250};
constexpr std::chrono::milliseconds watch_interval{200};
constexpr int relay_gone = 0;

std::string encode(const result<plugin::outcome>& value) {
  using plugin::wire::answer_kind;
  writer out;
  auto begin = [&](answer_kind kind) { out.number(static_cast<std::uint8_t>(kind)); };
  if (!value) {
    begin(answer_kind::failure);
    put(out, value.error());
  } else if (auto* verdict = std::get_if<plugin::verdict>(&*value)) {
    begin(answer_kind::verdict);
    put(out, *verdict);
  } else if (auto* who = std::get_if<plugin::identity>(&*value)) {
    begin(answer_kind::identity);
    put(out, *who);
  } else if (auto* secret = std::get_if<plugin::scram_secret>(&*value)) {
    begin(answer_kind::scram_secret);
    put(out, *secret);
  } else {
    begin(answer_kind::nothing);
  }
  return std::move(out.bytes());
}

class sending_sink : public plugin::completion_sink {
public:
  explicit sending_sink(line& to) noexcept : to_{to} {}
  void on_completions(std::span<plugin::completion> done) noexcept override {
    for (auto& one : done)
      to_.send(frame::answer, one.tag, encode(one.value));
  }

private:
  line& to_;
};

class sending_log : public plugin::log_sink {
public:
  sending_log(line& to, int level) noexcept : to_{to}, level_{level} {}
  int level() const noexcept override { return level_; }
  void log(const plugin::log_record& record) noexcept override {
    if (record.event != nullptr)
      return; // what a host says of its plugin, the relay says by itself: of deadlines, and of faults it is told
    writer out;
    out.number(static_cast<std::int32_t>(record.level)).text(record.message);
    out.number(static_cast<std::uint32_t>(record.fields.size()));
    for (auto& [key, value] : record.fields)
      out.text(key).text(value);
    to_.send(frame::log, 0, out.bytes());
  }

private:
  line& to_;
  int level_;
};

class sending_metrics : public plugin::metric_sink {
public:
  explicit sending_metrics(line& to) noexcept : to_{to} {}
  std::uint64_t declare(std::string_view, int kind, std::string_view name, std::string_view unit,
                        std::string_view help) noexcept override {
    auto number = ++last_;
    writer out;
    out.number(static_cast<std::int32_t>(kind)).text(name).text(unit).text(help);
    to_.send(frame::metric_declare, number, out.bytes());
    return number;
  }
  void add(std::uint64_t metric, double value) noexcept override {
    to_.send(frame::metric_add, metric, writer{}.real(value).bytes());
  }
  void set(std::uint64_t metric, double value) noexcept override {
    to_.send(frame::metric_set, metric, writer{}.real(value).bytes());
  }

private:
  line& to_;
  std::atomic<std::uint64_t> last_{0};
};

} // namespace

void line::send(frame kind, std::uint64_t number, std::string_view payload) {
  if (payload.size() > plugin::wire::frame_max - 64) {
    if (kind != frame::answer)
      return;
    writer out;
    out.number(static_cast<std::uint8_t>(plugin::wire::answer_kind::failure));
    put(out, error{HEDWIG_E_UNSUPPORTED, "its answer is larger than 32 MiB, the most of a process of its own", {}, 0});
    return send(kind, number, out.bytes());
  }
  auto bytes = plugin::wire::make_frame(kind, number, payload);
  std::lock_guard lock{mutex_};
  for (std::size_t sent = 0; sent < bytes.size();) {
    auto wrote = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote <= 0)
      std::_Exit(relay_gone);
    sent += static_cast<std::size_t>(wrote);
  }
}

bool guest::handle(const plugin::wire::received& frame) {
  if (!instance_)
    return begin(frame);
  switch (frame.kind) {
  case frame::open:
    return open(frame);
  case frame::close:
    sessions_.erase(frame.number);
    return true;
  case frame::reset:
    if (auto found = sessions_.find(frame.number); found != sessions_.end())
      found->second->on_reset();
    return true;
  case frame::hook:
    return hook(frame);
  case frame::delivery:
    return delivery(frame);
  case frame::ask:
    return ask(frame);
  case frame::reload:
    return reload(frame);
  case frame::stop:
    end();
    return false;
  default:
    return refuse({HEDWIG_E_INVALID, "the relay said something that it should not", {}, 0});
  }
}

bool guest::refuse(const error& why) {
  writer out;
  put(out, why);
  to_.send(frame::failed, 0, out.bytes());
  return false;
}

bool guest::begin(const plugin::wire::received& frame) {
  reader from{frame.payload};
  if (frame.kind != frame::hello || from.number<std::uint32_t>() != plugin::wire::version)
    return refuse(
        {HEDWIG_E_UNSUPPORTED, "hedwig-plugin-host and hedwig are of different versions: install both anew", {}, 0});
  if (auto made = make(from); !made)
    return refuse(made.error());
  watch();
  to_.send(frame::ready, 0, {});
  return true;
}

result<void> guest::make(reader& from) {
  std::string interface_id{from.text()};
  std::string name{from.text()};
  std::filesystem::path file{from.text()};
  std::string sha256{from.text()};
  plugin::instance_settings settings;
  settings.name = from.text();
  call_timeout_ = settings.call_timeout = std::chrono::nanoseconds{from.number<std::int64_t>()};
  settings.workers = from.number<std::uint32_t>();
  settings.max_pending = from.number<std::uint64_t>();
  auto level = from.number<std::int32_t>();
  auto config = std::make_shared<hedwig_config>();
  get(from, *config);
  if (!from.well())
    return std::unexpected{error{HEDWIG_E_INVALID, "the relay's first words cannot be read", {}, 0}};
  plugin::host_options options;
  options.log = std::make_shared<sending_log>(to_, level);
  options.metrics = std::make_shared<sending_metrics>(to_);
  services_ = std::make_shared<plugin::host>(std::move(options));
  catalogue_ = std::make_unique<plugin::catalogue>(services_, std::vector{file.parent_path().string()},
                                                   plugin::trust_policy{.owners = {trusted_}});
  if (auto loaded = catalogue_->load(file.stem().string(), sha256); !loaded)
    return loaded;
  auto provider = catalogue_->find(interface_id, name, sha256);
  if (!provider)
    return std::unexpected{provider.error()};
  auto made = plugin::instance::create(services_, *provider, std::move(settings), std::move(config));
  if (!made)
    return std::unexpected{made.error()};
  if (auto started = (*made)->start_and_wait(call_timeout_); !started)
    return started;
  instance_ = std::move(*made);
  sink_ = std::make_shared<sending_sink>(to_);
  if (interface_id == HEDWIG_FILTER)
    filter_ = *plugin::filter_provider::make(instance_);
  else
    auth_ = *plugin::auth_provider::make(instance_);
  return {};
}

/// What the relay cannot see from over there; the numbers since the last time.
void guest::tell_faults() {
  auto now = instance_->counters();
  if (now.false_completions == told_.false_completions && now.malformed == told_.malformed)
    return;
  writer out;
  out.number(static_cast<std::uint32_t>(now.false_completions - told_.false_completions));
  out.number(static_cast<std::uint32_t>(now.malformed - told_.malformed));
  told_ = now;
  to_.send(frame::faults, 0, out.bytes());
}

/// A process that owes answers for too long has lost them, or hangs: it ends, and the relay starts another. On a thread
/// of the host's own, so that it works when nothing else does.
void guest::watch() {
  auto due = services_->time().steady() + watch_interval;
  static_cast<void>(services_->timers().start(due, this, [this] {
    tell_faults();
    auto now = services_->time().steady();
    auto owed = instance_->counters().owed_late;
    if (owed == 0)
      owed_since_ = {};
    else if (owed_since_ == steady_time{})
      owed_since_ = now;
    else if (now - owed_since_ > call_timeout_) {
      auto text = fmt::format("hedwig-plugin-host: {}: {} calls were not answered long after their deadline; ending\n",
                              instance_->name(), owed);
      static_cast<void>(::write(STDERR_FILENO, text.data(), text.size()));
      std::_Exit(plugin::wire::ended_for_owing);
    }
    watch();
  }));
  services_->wake();
}

plugin::reply_to guest::reply(std::uint64_t number, std::int64_t left) const {
  return {sink_, number, std::max<std::chrono::nanoseconds>(std::chrono::nanoseconds{left}, slack) + slack};
}

void guest::answer(std::uint64_t number, const plugin::hook_answer& given) {
  if (!given)
    return; // the sink will hear
  to_.send(frame::answer, number,
           encode(*given ? result<plugin::outcome>{**given} : std::unexpected{(*given).error()}));
}

bool guest::open(const plugin::wire::received& frame) {
  reader from{frame.payload};
  plugin::filter_session_view view;
  get(from, view);
  if (!from.well() || !filter_)
    return refuse({HEDWIG_E_INVALID, "the relay opened a session that cannot be read", {}, 0});
  sessions_[frame.number] = filter_->open(std::move(view));
  return true;
}

namespace {

template <class Value>
std::optional<Value> read_value(reader& from) {
  Value value;
  get(from, value);
  return from.well() ? std::optional{std::move(value)} : std::nullopt;
}

} // namespace

bool guest::hook(const plugin::wire::received& frame) {
  reader from{frame.payload};
  auto found = sessions_.find(from.number<std::uint64_t>());
  auto which = static_cast<plugin::hook>(from.number<std::uint8_t>());
  auto to = reply(frame.number, from.number<std::int64_t>());
  if (found == sessions_.end())
    return refuse({HEDWIG_E_INVALID, "the relay asked about a session that is not open", {}, 0});
  auto& session = *found->second;
  auto with = [&](auto value, auto call) {
    if (value)
      answer(frame.number, (session.*call)(std::move(*value), to));
    return value.has_value() || refuse({HEDWIG_E_INVALID, "the relay asked what cannot be read", {}, 0});
  };
  using plugin::filter_session;
  switch (which) {
  case plugin::hook::connect:
    return with(read_value<plugin::filter_session_view>(from), &filter_session::on_connect);
  case plugin::hook::helo:
    return with(read_value<plugin::filter_session_view>(from), &filter_session::on_helo);
  case plugin::hook::auth:
    return with(read_value<plugin::filter_session_view>(from), &filter_session::on_auth);
  case plugin::hook::mail:
    return with(read_value<plugin::filter_address>(from), &filter_session::on_mail);
  case plugin::hook::recipient:
    return with(read_value<plugin::filter_address>(from), &filter_session::on_recipient);
  case plugin::hook::header:
    return with(read_value<plugin::filter_header>(from), &filter_session::on_header);
  case plugin::hook::end:
    return with(read_value<plugin::filter_message>(from), &filter_session::on_end);
  case plugin::hook::body: {
    auto part = slice::copy_of(from.text());
    return with(from.well() ? std::optional{std::move(part)} : std::nullopt, &filter_session::on_body);
  }
  default:
    return refuse({HEDWIG_E_INVALID, "the relay named a hook that is not known", {}, 0});
  }
}

bool guest::delivery(const plugin::wire::received& frame) {
  reader from{frame.payload};
  auto to = reply(frame.number, from.number<std::int64_t>());
  auto shown = read_value<plugin::filter_delivery>(from);
  if (!shown || !filter_)
    return refuse({HEDWIG_E_INVALID, "the relay asked what cannot be read", {}, 0});
  answer(frame.number, filter_->on_delivery(std::move(*shown), std::move(to)));
  return true;
}

bool guest::ask(const plugin::wire::received& frame) {
  reader from{frame.payload};
  auto which = from.number<std::uint8_t>();
  auto to = reply(frame.number, from.number<std::int64_t>());
  auto request = read_value<plugin::auth_request>(from);
  if (!request || !auth_ || which > 3)
    return refuse({HEDWIG_E_INVALID, "the relay asked what cannot be read", {}, 0});
  using plugin::auth_provider;
  constexpr decltype(&auth_provider::lookup) calls[] = {&auth_provider::verify_password, &auth_provider::verify_token,
                                                        &auth_provider::fetch_scram, &auth_provider::lookup};
  (auth_.get()->*calls[which])(std::move(*request), std::move(to));
  return true;
}

bool guest::reload(const plugin::wire::received& frame) {
  reader from{frame.payload};
  auto config = std::make_shared<hedwig_config>();
  get(from, *config);
  if (!from.well())
    return refuse({HEDWIG_E_INVALID, "the relay's settings cannot be read", {}, 0});
  instance_->reload(std::move(config), reply(frame.number, call_timeout_.count()));
  return true;
}

void guest::end() {
  sessions_.clear();
  static_cast<void>(instance_->stop_and_wait(std::chrono::seconds{8}));
  to_.send(frame::stopped, 0, {});
}

} // namespace hedwig::plugin_host
