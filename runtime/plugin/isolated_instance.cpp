// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/isolated_instance.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>

#include "runtime/plugin/instance_host.hpp"
#include "runtime/plugin/isolated.hpp"

namespace hedwig::plugin {

namespace {

constexpr std::chrono::milliseconds look_around{200}; ///< how late a missed deadline or stop is noticed
constexpr std::chrono::minutes lived_well{1};         ///< after so long the pause before the next start is short again
constexpr int socket_buffer = 1 << 20;
constexpr std::size_t metrics_most = 1000;     // of one process, and names over all of its lives
constexpr std::size_t metric_text_most = 4096; // octets of a name, unit or help
constexpr std::size_t log_fields_most = 32;    // as many as its own host lets through

hedwig_str raw_str(std::string_view text) { return {text.data(), text.size()}; }

hedwig_error raw_error(const error& from) {
  hedwig_error out{from.status, from.os_errno, {}, {}};
  out.where[from.where.copy(out.where, sizeof out.where - 1)] = '\0';
  out.message[from.message.copy(out.message, sizeof out.message - 1)] = '\0';
  return out;
}

std::string death_of(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("died of signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  if (WEXITSTATUS(status) == wire::ended_for_owing)
    return "ended itself: calls were not answered long after their deadline";
  return fmt::format("ended with status {}", WEXITSTATUS(status));
}

/// What of our environment it sees: secrets may be in the rest.
std::vector<std::string> environment_for_it() {
  std::vector<std::string> all;
  for (const char* name : {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"})
    if (const char* value = std::getenv(name); value != nullptr)
      all.push_back(fmt::format("{}={}", name, value));
  return all;
}

/// Waits for its end: it may be writing a core file; one that lives on without its socket is killed.
int reap(pid_t pid) {
  int status = 0;
  for (int waits = 0;; ++waits) {
    auto got = ::waitpid(pid, &status, waits < 500 ? WNOHANG : 0);
    if (got == pid || (got < 0 && errno != EINTR))
      return status;
    ::poll(nullptr, 0, 10);
    if (waits == 499)
      ::kill(pid, SIGKILL);
  }
}

/// A verdict or identity as the ABI has it, made of what came over the wire; judged as any plugin's.
struct raw_verdict {
  explicit raw_verdict(const verdict& from) {
    slices.reserve(from.edits.size());
    edits.reserve(from.edits.size());
    for (auto& one : from.edits) {
      auto parts = one.body.parts();
      auto& piece = slices.emplace_back();
      if (!parts.empty())
        piece = {parts[0].owner().raw(), reinterpret_cast<const std::uint8_t*>(parts[0].view().data()),
                 parts[0].size()};
      edits.push_back({sizeof(hedwig_edit), static_cast<std::int32_t>(one.kind) + HEDWIG_EDIT_ADD_HEADER,
                       raw_str(one.name), raw_str(one.value), one.index, one.folded ? HEDWIG_EDIT_FOLDED : 0U, &piece,
                       parts.empty() ? 0U : 1U});
    }
    for (auto& one : edits)
      pointers.push_back(&one);
    raw = {sizeof raw,
           static_cast<std::int32_t>(from.action),
           static_cast<std::uint32_t>(from.code),
           0,
           raw_str(from.enhanced_code),
           raw_str(from.text),
           pointers.data(),
           pointers.size()};
  }
  std::vector<hedwig_slice> slices;
  std::vector<hedwig_edit> edits;
  std::vector<const hedwig_edit*> pointers;
  hedwig_verdict raw{};
};

struct raw_identity {
  explicit raw_identity(const identity& from) {
    for (auto& one : from.groups)
      groups.push_back(raw_str(one));
    for (auto& [key, value] : from.attributes)
      attributes.push_back({raw_str(key), raw_str(value)});
    for (auto& one : from.senders)
      senders.push_back(raw_str(one));
    auto& most = from.limits;
    limits = {sizeof limits,
              most.connections,
              most.message_size,
              most.recipients_per_message,
              most.messages_per_hour,
              most.recipients_per_day,
              0};
    raw.struct_size = sizeof raw;
    raw.identity = raw_str(from.name);
    raw.groups = groups.data();
    raw.group_count = groups.size();
    raw.attributes = attributes.data();
    raw.attribute_count = attributes.size();
    raw.senders = senders.data();
    raw.sender_count = senders.size();
    raw.limits = &limits;
    raw.cache_for = from.cache_for.count();
  }
  std::vector<hedwig_str> groups;
  std::vector<hedwig_pair> attributes;
  std::vector<hedwig_str> senders;
  hedwig_auth_limits limits{};
  hedwig_auth_result raw{};
};

} // namespace

isolated_instance::isolated_instance(const hedwig_host* host, std::shared_ptr<isolated_provider> spec,
                                     hedwig_config config)
  : host_{host}, spec_{std::move(spec)}, config_{std::move(config)}, wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {}

isolated_instance::~isolated_instance() {
  if (thread_.joinable())
    thread_.join();
  ::close(wake_);
}

void isolated_instance::complete(hedwig_op* op, hedwig_status status, const void* result, const error* why) const {
  hedwig_error described{};
  if (why != nullptr)
    described = raw_error(*why);
  hedwig_completion done{op, status, 0, result, why != nullptr ? &described : nullptr};
  host_->complete(host_, &done, 1);
}

void isolated_instance::fail(hedwig_op* op, hedwig_status status, std::string why) const {
  error described{status, std::move(why), {}, 0};
  complete(op, status, nullptr, &described);
}

std::int64_t isolated_instance::left(const hedwig_op* op) const {
  return host_->op_deadline(host_, op) - host_->steady_clock(host_);
}

void isolated_instance::start(hedwig_op* op) {
  start_op_ = op;
  thread_ = std::thread{[this] { run(); }};
}

void isolated_instance::stop(hedwig_op* op) {
  std::unique_lock lock{mutex_};
  if (phase_ == phase::ended) {
    lock.unlock();
    return complete(op, HEDWIG_OK);
  }
  stop_op_ = op;
  stop_by_ = spec_->services_->time().steady() + isolated_provider::stop_wait;
  auto running = phase_ == phase::running;
  phase_ = phase::stopping;
  if (running)
    return queue(lock, wire::frame::stop, 0, {});
  static_cast<void>(::eventfd_write(wake_, 1));
}

void isolated_instance::reload(hedwig_op* op, const hedwig_config& config) {
  wire::writer payload;
  wire::put(payload, config);
  ask(wire::frame::reload, wire::answer_kind::nothing, op, payload.bytes(), 0, &config);
}

std::pair<std::uint64_t, std::uint64_t> isolated_instance::open(std::string_view payload) {
  std::unique_lock lock{mutex_};
  auto number = ++last_number_;
  auto generation = generation_;
  if (phase_ == phase::running)
    queue(lock, wire::frame::open, number, payload);
  else
    generation = ~std::uint64_t{0}; // no process will ever know it
  return {number, generation};
}

void isolated_instance::tell(wire::frame kind, std::uint64_t number, std::uint64_t generation) {
  std::unique_lock lock{mutex_};
  if (phase_ == phase::running && generation == generation_)
    queue(lock, kind, number, {});
}

void isolated_instance::ask(wire::frame kind, wire::answer_kind expected, hedwig_op* op, std::string_view payload,
                            std::uint64_t generation, const hedwig_config* reloading) {
  if (payload.size() > wire::frame_max / 2)
    return fail(op, HEDWIG_E_UNSUPPORTED, "too large for a process of its own: more than 16 MiB in one call");
  std::unique_lock lock{mutex_};
  auto number = ++last_number_;
  auto give_up = spec_->services_->time().steady() + std::chrono::nanoseconds{left(op)} + 2 * spec_->call_timeout_ +
                 std::chrono::seconds{1};
  if (phase_ == phase::running && (generation == 0 || generation == generation_) &&
      outgoing_.size() - sent_ + payload.size() < isolated_provider::outgoing_max) {
    open_[number] = {op, expected, give_up};
    if (reloading != nullptr)
      reloading_[number] = *reloading;
    return queue(lock, kind, number, payload);
  }
  auto running = phase_ == phase::running;
  auto known = generation == 0 || generation == generation_;
  lock.unlock();
  if (running && known)
    fail(op, HEDWIG_E_BUSY, "its process does not read what it is sent");
  else
    fail(op, HEDWIG_E_UNAVAILABLE,
         running ? "its process was started again, and does not know this session"
                 : "its process is not running: it " + spec_->look().last_death);
}

/// Sends what it can at once, so that the thread need not be woken in the usual case.
void isolated_instance::queue(std::unique_lock<std::mutex>& held, wire::frame kind, std::uint64_t number,
                              std::string_view payload) {
  auto idle = outgoing_.empty();
  auto frame = wire::make_frame(kind, number, payload);
  outgoing_ += frame;
  std::ranges::fill(frame, '\0'); // a password may be in it
  if (idle && send_some() && outgoing_.empty())
    return;
  held.unlock();
  static_cast<void>(::eventfd_write(wake_, 1));
}

/// With the mutex held; false when the process is gone.
bool isolated_instance::send_some() {
  while (sent_ < outgoing_.size()) {
    auto wrote = ::send(socket_, outgoing_.data() + sent_, outgoing_.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote < 0)
      return errno == EAGAIN || errno == EWOULDBLOCK;
    sent_ += static_cast<std::size_t>(wrote);
  }
  std::ranges::fill(outgoing_, '\0');
  outgoing_.clear();
  sent_ = 0;
  return true;
}

std::string isolated_instance::hello() {
  wire::writer out;
  auto& spec = *spec_;
  out.number(wire::version).text(spec.real_.interface_id()).text(spec.real_.name()).text(spec.real_.file);
  out.text(spec.sha256_).text(spec.name_).number(static_cast<std::int64_t>(spec.call_timeout_.count()));
  out.number(spec.workers_).number(spec.max_pending_).number(static_cast<std::int32_t>(host_->log_level(host_)));
  wire::put(out, config_);
  return std::move(out.bytes());
}

bool isolated_instance::spawn() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    why_ = system_error(errno, "make a socket pair").text();
    return false;
  }
  for (int end : ends)
    ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &socket_buffer, sizeof socket_buffer);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, ends[1], 3);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  std::string user = spec_->user_;
  char* arguments[] = {spec_->program_.data(), user.empty() ? nullptr : user.data(), nullptr};
  auto variables = environment_for_it();
  std::vector<char*> shown;
  for (auto& one : variables)
    shown.push_back(one.data());
  shown.push_back(nullptr);
  pid_t pid = 0;
  auto failed = ::posix_spawn(&pid, spec_->program_.c_str(), &files, &attributes, arguments, shown.data());
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  ::close(ends[1]);
  if (failed != 0) {
    ::close(ends[0]);
    why_ = system_error(failed, "start " + spec_->program_).text();
    return false;
  }
  std::unique_lock lock{mutex_};
  socket_ = ends[0];
  pid_ = pid;
  spec_->pid_ = pid;
  outgoing_ = wire::make_frame(wire::frame::hello, 0, hello());
  sent_ = 0;
  incoming_ = {};
  metrics_.clear();
  began_ = spec_->services_->time().steady();
  return true;
}

void isolated_instance::run() {
  pthread_setname_np(pthread_self(), spec_->name_.substr(0, 15).c_str());
  do {
    why_.clear();
    stopped_ = false;
    start_error_ = {};
    if (spawn())
      serve();
    bury();
  } while (rest());
  std::unique_lock lock{mutex_};
  phase_ = phase::ended;
  auto* stopped = std::exchange(stop_op_, nullptr);
  lock.unlock();
  if (stopped != nullptr)
    complete(stopped, HEDWIG_OK);
}

void isolated_instance::serve() {
  for (;;) {
    bool more = false;
    {
      std::lock_guard lock{mutex_};
      if (!send_some())
        return;
      more = !outgoing_.empty();
    }
    pollfd watched[] = {{socket_, static_cast<short>(more ? POLLIN | POLLOUT : POLLIN), 0}, {wake_, POLLIN, 0}};
    ::poll(watched, 2, static_cast<int>(look_around.count()));
    if (watched[1].revents != 0) {
      eventfd_t count = 0;
      static_cast<void>(::eventfd_read(wake_, &count));
    }
    if ((watched[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !receive_some())
      return;
    if (too_late())
      return;
  }
}

bool isolated_instance::receive_some() {
  char part[64 * 1024];
  auto got = ::recv(socket_, part, sizeof part, MSG_DONTWAIT);
  if (got < 0)
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  if (got == 0)
    return false;
  incoming_.feed({part, static_cast<std::size_t>(got)});
  while (auto frame = incoming_.next())
    if (!take(*frame)) {
      if (why_.empty() && !stopped_)
        why_ = "it said what cannot be read";
      return false;
    }
  if (incoming_.broken())
    why_ = "it said what cannot be read";
  return !incoming_.broken();
}

/// False: the process is to be ended.
bool isolated_instance::take(wire::received& frame) {
  switch (frame.kind) {
  case wire::frame::ready: {
    std::unique_lock lock{mutex_};
    if (phase_ == phase::running)
      return false; // twice
    auto* started = std::exchange(start_op_, nullptr);
    auto stopping = phase_ == phase::stopping;
    ++generation_;
    if (!stopping)
      phase_ = phase::running;
    else
      queue(lock, wire::frame::stop, 0, {});
    if (lock.owns_lock())
      lock.unlock();
    if (started != nullptr)
      complete(started, HEDWIG_OK);
    return true;
  }
  case wire::frame::failed: {
    wire::reader from{frame.payload};
    wire::get(from, start_error_);
    why_ = from.well() ? start_error_.text() : "it said what cannot be read";
    return false;
  }
  case wire::frame::answer:
    return answer(frame);
  case wire::frame::log:
    return log(frame);
  case wire::frame::metric_declare:
  case wire::frame::metric_add:
  case wire::frame::metric_set:
    return metric(frame);
  case wire::frame::faults:
    return faults(frame);
  case wire::frame::stopped:
    stopped_ = true;
    return false;
  default:
    return false; // ours to say
  }
}

bool isolated_instance::answer(wire::received& frame) {
  pending of{};
  std::optional<hedwig_config> reloaded;
  {
    std::lock_guard lock{mutex_};
    auto found = open_.find(frame.number);
    if (found == open_.end()) {
      why_ = "it answered what it was not asked, or twice";
      return false;
    }
    of = found->second;
    open_.erase(found);
    if (auto node = reloading_.extract(frame.number))
      reloaded = std::move(node.mapped());
  }
  wire::reader from{frame.payload};
  auto broken = [&] {
    fail(of.op, HEDWIG_E_INTERNAL, "its process said what cannot be read");
    return false;
  };
  auto kind = static_cast<wire::answer_kind>(from.number<std::uint8_t>());
  if (kind != of.expected && kind != wire::answer_kind::failure) {
    why_ = "it answered as if it had been asked something else";
    return broken(); // its result would be read as one of another kind
  }
  switch (kind) {
  case wire::answer_kind::failure: {
    error why;
    wire::get(from, why);
    if (!from.well() || why.status == HEDWIG_OK)
      return broken();
    complete(of.op, why.status, nullptr, &why);
    return true;
  }
  case wire::answer_kind::nothing:
    if (!from.well())
      return broken();
    if (reloaded) {
      std::lock_guard lock{mutex_};
      config_ = std::move(*reloaded);
    }
    complete(of.op, HEDWIG_OK);
    return true;
  case wire::answer_kind::verdict: {
    verdict value;
    wire::get(from, value);
    if (!from.well())
      return broken();
    raw_verdict raw{value};
    complete(of.op, HEDWIG_OK, &raw.raw);
    return true;
  }
  case wire::answer_kind::identity: {
    identity who;
    wire::get(from, who);
    if (!from.well())
      return broken();
    raw_identity raw{who};
    complete(of.op, HEDWIG_OK, &raw.raw);
    return true;
  }
  case wire::answer_kind::scram_secret: {
    scram_secret secret;
    wire::get(from, secret);
    if (!from.well())
      return broken();
    raw_identity who{secret.who};
    auto bytes = [](std::string_view text) {
      return hedwig_bytes{reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
    };
    hedwig_scram_result raw{
        sizeof raw, secret.iterations, bytes(secret.salt), bytes(secret.stored_key), bytes(secret.server_key),
        &who.raw};
    complete(of.op, HEDWIG_OK, &raw);
    return true;
  }
  }
  return broken();
}

bool isolated_instance::log(const wire::received& frame) const {
  wire::reader from{frame.payload};
  auto level = from.number<std::int32_t>();
  auto message = from.text();
  std::vector<hedwig_pair> fields(from.count(2 * sizeof(std::uint32_t), log_fields_most));
  for (auto& [key, value] : fields) {
    key = raw_str(from.text());
    value = raw_str(from.text());
  }
  if (!from.well())
    return false;
  if (level < host_->log_level(host_))
    return true;
  hedwig_log_record record{sizeof record, level, raw_str(message), fields.data(), fields.size(), nullptr, 0, 0};
  host_->log(host_, &record);
  return true;
}

bool isolated_instance::faults(const wire::received& frame) const {
  wire::reader from{frame.payload};
  auto wrong = from.number<std::uint32_t>();
  auto malformed = from.number<std::uint32_t>();
  if (from.well())
    static_cast<instance_host*>(host_->host_data)->count_faults(wrong, malformed);
  return from.well();
}

bool isolated_instance::metric(const wire::received& frame) {
  auto* table = static_cast<const hedwig_host_metric*>(host_->get_interface(host_, HEDWIG_HOST_METRIC));
  wire::reader from{frame.payload};
  if (frame.kind != wire::frame::metric_declare) {
    auto value = from.real();
    auto known = metrics_.find(frame.number);
    if (known != metrics_.end() && from.well())
      (frame.kind == wire::frame::metric_add ? table->add : table->set)(host_, known->second, value);
    return from.well();
  }
  auto kind = from.number<std::int32_t>();
  std::string name{from.text()};
  std::string unit{from.text()};
  std::string help{from.text()};
  if (!from.well() || metrics_.size() >= metrics_most ||
      std::max({name.size(), unit.size(), help.size()}) > metric_text_most)
    return false;
  auto known = metrics_by_name_.find(name);
  if (known == metrics_by_name_.end() && metrics_by_name_.size() >= metrics_most)
    return true; // counts nothing, as every metric beyond the host's limit
  if (known == metrics_by_name_.end())
    known = metrics_by_name_.emplace(name, table->declare(host_, kind, name.c_str(), unit.c_str(), help.c_str())).first;
  metrics_[frame.number] = known->second;
  return true;
}

bool isolated_instance::too_late() {
  auto now = spec_->services_->time().steady();
  if (now < next_look_)
    return false;
  next_look_ = now + look_around;
  std::lock_guard lock{mutex_};
  if (phase_ == phase::stopping && now >= stop_by_)
    why_ = "it did not stop";
  else if ((phase_ == phase::starting || phase_ == phase::resting) && now - began_ > isolated_provider::start_wait)
    why_ = "it did not start";
  else if (std::ranges::any_of(open_, [&](auto& one) { return one.second.give_up <= now; }))
    why_ = "a call was not answered long after its deadline";
  return !why_.empty();
}

/// Ends the process, if it still lives, and fails what it had in hand.
void isolated_instance::bury() {
  std::unique_lock lock{mutex_};
  auto in_order = phase_ == phase::stopping && why_.empty();
  auto pid = std::exchange(pid_, 0);
  auto how = why_;
  if (pid != 0) {
    ::close(std::exchange(socket_, -1));
    if (!why_.empty())
      ::kill(pid, SIGKILL);
    lock.unlock();
    auto status = reap(pid);
    if (how.empty())
      how = death_of(status);
    else
      how = "was ended: " + how;
    lock.lock();
  }
  outgoing_.clear();
  sent_ = 0;
  reloading_.clear();
  auto lost = std::exchange(open_, {});
  auto* started = std::exchange(start_op_, nullptr);
  if (phase_ != phase::stopping)
    phase_ = started != nullptr ? phase::ended : phase::resting;
  lock.unlock();
  if (!in_order)
    spec_->died(how);
  else
    spec_->pid_ = 0;
  for (auto& [number, one] : lost)
    fail(one.op, HEDWIG_E_UNAVAILABLE, "its process " + how);
  if (started != nullptr) {
    auto why = start_error_.message.empty() ? error{HEDWIG_E_UNAVAILABLE, "its process " + how, {}, 0} : start_error_;
    return complete(started, why.status == HEDWIG_OK ? HEDWIG_E_INTERNAL : why.status, nullptr, &why);
  }
  if (in_order)
    return;
  if (spec_->services_->time().steady() - began_ >= lived_well)
    pause_ = {};
  pause_ = pause_.count() == 0 ? isolated_provider::first_pause
                               : std::min<std::chrono::nanoseconds>(2 * pause_, isolated_provider::longest_pause);
  static constexpr telemetry::event gone{
      "provider.process-died", "the process of an isolated plugin is gone; it is started again after a pause"};
  auto calls = std::to_string(lost.size());
  auto again = std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(pause_).count());
  auto id = std::to_string(pid);
  const std::pair<std::string_view, std::string_view> fields[] = {
      {"pid", id}, {"how", how}, {"calls", calls}, {"again_ms", again}};
  spec_->services_->report(HEDWIG_LOG_ERROR, gone, spec_->name_, fields);
}

/// Waits before the next start; false: there is none.
bool isolated_instance::rest() {
  auto until = spec_->services_->time().steady() + pause_;
  for (;;) {
    {
      std::lock_guard lock{mutex_};
      if (phase_ != phase::resting)
        return false;
    }
    auto left = until - spec_->services_->time().steady();
    if (left.count() <= 0)
      return true;
    pollfd woken{wake_, POLLIN, 0};
    auto wait = std::min<std::chrono::nanoseconds>(left, look_around);
    ::poll(&woken, 1, static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(wait).count()) + 1);
    eventfd_t count = 0;
    static_cast<void>(::eventfd_read(wake_, &count));
  }
}

} // namespace hedwig::plugin
