// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "groups.hpp"
#include "servers.hpp"
#include "settings.hpp"

namespace hedwig::auth_ldap {

/// Who a user is, as the directory has it. Thread-safe; every call blocks, until `deadline` (of the host's steady
/// clock) at most, and throws sdk::failure: DENIED and NOT_FOUND are about the user, everything else says that nothing
/// is known.
class directory {
public:
  directory(sdk::host host, std::shared_ptr<const settings> from, counters count);

  /// The user with this password. An empty one is the caller's to refuse.
  [[nodiscard]] sdk::identity verify(std::string_view login, std::string_view password, hedwig_time_ns deadline);
  /// His SCRAM secret and who he is.
  [[nodiscard]] sdk::scram_secret fetch_scram(std::string_view login, hedwig_time_ns deadline);

private:
  [[nodiscard]] sdk::identity search_and_bind(std::string_view login, std::string_view password,
                                              hedwig_time_ns deadline);
  [[nodiscard]] sdk::identity bind_directly(std::string_view login, std::string_view password, hedwig_time_ns deadline);
  [[nodiscard]] std::optional<entry> find(std::string_view login, hedwig_time_ns deadline);
  [[nodiscard]] search_request request_for(std::string_view login) const;
  [[nodiscard]] sdk::identity judge_entry(const entry& user, std::string_view login, const searcher& search) const;
  [[nodiscard]] bind_answer bind(const std::string& name, std::string_view password, hedwig_time_ns deadline);
  void insist(const bind_answer& answer, std::string_view login) const;
  [[nodiscard]] searcher service_searcher(hedwig_time_ns deadline);

  sdk::host host_;
  std::shared_ptr<const settings> from_;
  servers servers_;
};

} // namespace hedwig::auth_ldap
