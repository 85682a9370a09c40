// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/check/auth/question.hpp"
#include "sdk/check/calling_threads.hpp"
#include "sdk/check/instance.hpp"

namespace hedwig::check::auth {

/// A provider as the relay asks it: from several threads, whether it blocks or not. Calls on the test's thread.
class desk {
public:
  /// `config`: other settings than the file's. `watched`: looks at a question's memory after its completion are
  /// noticed.
  explicit desk(context& run, std::shared_ptr<const hedwig_config> config = nullptr, bool watched = false);

  void open(); ///< create, start. Throws broken.
  hedwig_status try_open();
  void close(); ///< stop, destroy; every call has returned before. Throws broken.

  bool answers(slot which) const { return function_of(which) != nullptr; }
  op_pointer begin(asked what);
  const answer& wait(const op_pointer& one);
  answer ask(asked what) { return wait(begin(std::move(what))); }
  /// Until every call that was begun has returned; its op may still be open.
  void wait_for_calls();

  host& services() { return instance_.services(); }
  instance& life() { return instance_; }

private:
  hedwig_auth_fn function_of(slot which) const;

  const hedwig_auth& table_;
  instance instance_;
  calling_threads threads_{4};
  std::vector<op_pointer> all_; ///< so that a second completion finds its op
  bool watched_;
};

/// A desk that is open; never destroyed, since a test that fails leaves calls behind.
desk& open_desk(context& run, bool watched = false);

/// The accounts that have what `which` is asked with. Throws skipped where there are none.
std::vector<known_accounts::account> accounts_for(const context& run, slot which);
/// The same for a provider that answers `which`; throws skipped where it does not.
std::vector<known_accounts::account> accounts_for(const context& run, const desk& at, slot which);
/// The right question about the account.
asked right_question(const known_accounts::account& who, slot which);

/// The answer is HEDWIG_OK and says to whom.
void expect_yes(const answer& got, std::string_view asked_what);
/// The answer is no: HEDWIG_E_DENIED or HEDWIG_E_NOT_FOUND.
void expect_no(const answer& got, const rule& which, std::string_view asked_what);
/// Whatever the answer is, it is not yes.
void expect_no_yes(const answer& got, const rule& which, std::string_view asked_what);

} // namespace hedwig::check::auth
