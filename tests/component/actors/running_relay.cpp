// SPDX-License-Identifier: Apache-2.0
#include "tests/component/actors/running_relay.hpp"

#include "tests/component/actors/smtp_peers.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <stdexcept>

namespace hedwig::test {

namespace {

void write_key(const std::filesystem::path& path) {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"),
                                                          EVP_PKEY_free};
  auto* file = std::fopen(path.c_str(), "wx");
  if (file == nullptr || PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    throw std::runtime_error{"no key could be written"};
  std::fclose(file);
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

std::filesystem::path make_folder() {
  auto pattern = (std::filesystem::temp_directory_path() / "hedwig-actors-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    throw std::runtime_error{"no temporary folder"};
  return pattern;
}

std::string plugin_directory() {
  auto* given = std::getenv("HEDWIG_PLUGIN_DIR");
  return given == nullptr ? "" : given;
}

} // namespace

running_relay::running_relay(std::uint16_t next_hop, std::string extra)
  : extra_{std::move(extra)}, folder_{make_folder()} {
  std::signal(SIGPIPE, SIG_IGN);
  ::close(listen_anywhere(port_)); // the relay binds it again
  write_key(folder_ / "dkim.pem");
  write_config(next_hop);
  start();
}

running_relay::~running_relay() {
  engine_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void running_relay::write_config(std::uint16_t next_hop) const {
  std::ofstream file{folder_ / "hedwig.toml"};
  file << "[log]\nlevel = \"warn\"\n"
       << "[server]\nhostname = \"relay.example\"\n"
       << "[[server.listeners]]\nname = \"in\"\naddr = \"127.0.0.1:" << port_ << "\"\nallow_auth_in_clear = true\n"
       << "[[server.auth]]\nusername = \"ann\"\npassword = \"secret\"\n"
       << "[[server.dkim]]\ndomain = \"signed.example\"\nselector = \"test\"\nprivate_key = \""
       << (folder_ / "dkim.pem").string()
       << "\"\nkey_type = \"ed25519\"\n"
       // One connection to the next hop, so that the messages behind the first wait in the destination.
       << "[server.smtp]\nmin_idle = 1\nmax_size = 1\n"
       << "[process]\nio_loops = 2\nscheduler_threads = 2\n"
       << "[storage]\nstorage_type = \"rocksdb\"\nbase_path = \"" << (folder_ / "spool").string() << "\"\n"
       << "[queue]\ndisk_reserve_bytes = 1048576\n"
       << "[[routes]]\ndomains = [\"*\"]\nto = [\"127.0.0.1:" << next_hop << "\"]\ntls = \"none\"\n"
       << "[retry]\ninitial_delay = \"1s\"\njitter = 0.0\n"
       << "[admin]\nsocket = \"" << (folder_ / "admin.sock").string() << "\"\n"
       << "[plugins]\ndirectories = [\"" << plugin_directory() << "\"]\n"
       << extra_;
}

void running_relay::start() {
  started_ = drained_ = false;
  failure_.clear();
  auto from = app::prepare((folder_ / "hedwig.toml").string());
  if (!from.ok())
    throw std::runtime_error{from.errors.front().message};
  auto note = [this](auto change) {
    std::lock_guard guard{mutex_};
    change();
  };
  supervisor_events events{.started = [this, note] { note([this] { started_ = true; }); },
                           .failed = [this, note](const std::string& why) { note([&] { failure_ = why; }); },
                           .drained = [this, note] { note([this] { drained_ = true; }); }};
  auto made = app::engine::start(std::move(from), std::move(events));
  if (!made)
    throw std::runtime_error{made.error().text()};
  engine_ = std::move(*made);
  auto up = [this] {
    std::lock_guard guard{mutex_};
    return started_;
  };
  if (!wait_until(up))
    throw std::runtime_error{"the relay does not listen"};
}

bool running_relay::stop() {
  engine_->drain();
  auto drained = wait_until([this] {
    std::lock_guard guard{mutex_};
    return drained_;
  });
  engine_.reset(); // ends the process where actors do not end
  return drained;
}

std::uint64_t running_relay::restarts(std::string_view role) {
  return context().metrics.counter("hedwig_actor_restarts_total", role).value();
}

std::uint64_t running_relay::restarts_shown(std::string_view role) {
  std::uint64_t sum = 0;
  for (auto& one : context().actors.snapshot())
    if (one.name == role)
      sum += one.restarts;
  return sum;
}

std::size_t running_relay::kill(std::string_view role) {
  std::size_t count = 0;
  for (auto& one : context().actors.snapshot())
    if (one.name == role) {
      caf::anon_send_exit(one.address, caf::exit_reason::unhandled_exception);
      ++count;
    }
  return count;
}

bool running_relay::wear_out(std::string_view role, std::size_t times) {
  for (std::size_t i = 0; i < times; ++i) {
    auto before = restarts(role);
    auto shown = restarts_shown(role);
    auto ended = kill(role);
    if (!wait_until([&] { return restarts(role) >= before + ended && restarts_shown(role) >= shown + ended; }))
      return false;
  }
  return true;
}

void running_relay::ask(console_request request) {
  for (auto& one : context().actors.snapshot())
    if (one.name == "supervisor")
      caf::anon_send(caf::actor_cast<caf::actor>(one.address), std::move(request));
}

std::string running_relay::show(const std::string& id) {
  auto answer = std::make_shared<std::promise<std::string>>();
  auto told = answer->get_future();
  ask({.verb = "queue.show", .argument = id, .limit = 0, .cursor = {}, .answer = [answer](console_text json, auto) {
         answer->set_value(json());
       }});
  return told.wait_for(std::chrono::seconds{120}) == std::future_status::ready ? told.get() : std::string{};
}

bool running_relay::idle() {
  auto& counts = context().counts;
  auto all = context().actors.snapshot();
  auto known = std::ranges::any_of(all, [](auto& one) { return one.name == "spooler" && one.state == "serving"; });
  return known && counts.active_messages.value() == 0 && counts.queue_depth.value() == 0 &&
         context().attempts_open == 0;
}

std::string running_relay::failure() const {
  std::lock_guard guard{mutex_};
  return failure_;
}

} // namespace hedwig::test
