// SPDX-License-Identifier: Apache-2.0
#include "tests/component/auth_ldap/auth_instance.hpp"

#include <gtest/gtest.h>
#include <hedwig/auth.h>

#include <algorithm>

#include "runtime/config/read.hpp"

namespace hedwig::test {

using namespace hedwig::plugin;

void full_log::log(const log_record& record) noexcept {
  std::string line{record.message};
  for (auto& [key, value] : record.fields)
    line.append(" ").append(key).append("=").append(value);
  std::lock_guard lock{mutex_};
  lines_.push_back(std::move(line));
}

int full_log::count(std::string_view part) const {
  std::lock_guard lock{mutex_};
  return static_cast<int>(std::ranges::count_if(lines_, [&](auto& line) { return line.contains(part); }));
}

std::string full_log::all() const {
  std::lock_guard lock{mutex_};
  std::string out;
  for (auto& line : lines_)
    out += line + "\n";
  return out;
}

auth_instance::auth_instance(const char* provider, const std::string& toml, unsigned workers, bool own_threads) {
  host_options options;
  options.log = log_;
  options.time = clock_.get();
  services_ = std::make_shared<host>(std::move(options));
  auto folder = plugin::testing::environment("HEDWIG_PLUGIN_DIR");
  catalogue all{services_, {folder}, {.owners = {}, .allow_group_writable = true}};
  auto found = all.find(HEDWIG_AUTH, provider);
  if (!found) {
    fault_ = found.error().text();
    return;
  }
  provider_ = *found;
  auto settings = read(toml);
  if (!settings)
    return;
  instance_settings how{.name = std::string{"auth."} + provider, .workers = workers};
  how.own_threads = own_threads;
  owner_ = *instance::create(services_, provider_, std::move(how), std::move(settings));
  if (auto started = owner_->start_and_wait(std::chrono::seconds{60}); !started) {
    fault_ = started.error().text();
    owner_.reset();
    return;
  }
  face_ = *auth_provider::make(owner_);
}

std::shared_ptr<const hedwig_config> auth_instance::read(const std::string& toml) {
  auto table = config::read_toml(toml, "test.toml");
  if (!table) {
    fault_ = table.error().text();
    return nullptr;
  }
  auto checked = check_provider(services_, provider_, *table, {"test.toml", "auth", "/", {}});
  fault_ = config::to_text(checked.errors);
  return checked.config;
}

std::string auth_instance::reload(const std::string& toml) {
  auto settings = read(toml);
  if (!settings)
    return fault_;
  auto done = owner_->reload_and_wait(std::move(settings), std::chrono::seconds{60});
  return done ? std::string{} : done.error().text();
}

auth_instance::~auth_instance() {
  face_.reset();
  if (owner_) {
    EXPECT_TRUE(owner_->stop_and_wait(std::chrono::seconds{60}));
  }
  owner_.reset();
  services_->stop();
}

auth_request auth_instance::request(const std::string& user) const {
  auth_request made;
  made.mechanism = "PLAIN";
  made.username = user;
  made.peer = "192.0.2.1";
  made.tls = true;
  return made;
}

hedwig_status auth_instance::ask(const std::string& user, const std::string& password, const std::string& as_user,
                                 std::chrono::nanoseconds within) {
  auto sink = std::make_shared<plugin::testing::recorded_completions>();
  auto what = request(user);
  what.authorize_as = as_user;
  what.secret = password;
  face_->verify_password(std::move(what), {sink, 1, within});
  return take(*sink, false);
}

hedwig_status auth_instance::ask_scram(const std::string& user) {
  auto sink = std::make_shared<plugin::testing::recorded_completions>();
  face_->fetch_scram(request(user), {sink, 1, {}});
  return take(*sink, true);
}

hedwig_status auth_instance::take(plugin::testing::recorded_completions& from, bool scram) {
  error_.clear();
  who_ = {};
  EXPECT_TRUE(from.wait_for(1));
  auto* done = from.find(1);
  if (done == nullptr)
    return HEDWIG_E_TIMEOUT;
  if (!*done) {
    error_ = done->error().text();
    return done->error().status;
  }
  if (scram) {
    secret_ = as<scram_secret>(**done);
    who_ = secret_.who;
  } else {
    who_ = as<identity>(**done);
  }
  return HEDWIG_OK;
}

} // namespace hedwig::test
