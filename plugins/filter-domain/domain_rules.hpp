// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace hedwig::filter_domain {

/// Domains as they are listed: "example.com" is that domain alone, "*.example.com" all below it, "*" all there are.
/// ASCII case and a final dot mean nothing.
class domain_set {
public:
  void add(std::string_view pattern);
  [[nodiscard]] bool empty() const noexcept { return exact_.empty() && below_.empty() && !everything_; }
  /// `domain` in lower case, without a final dot.
  [[nodiscard]] bool contains(const std::string& domain) const;

private:
  std::unordered_set<std::string> exact_;
  std::unordered_set<std::string> below_;
  bool everything_ = false;
};

/// Denied ones first; as soon as any domain is allowed by name, all others are refused.
struct domain_rules {
  domain_set allow;
  domain_set deny;

  [[nodiscard]] bool accepts(const std::string& domain) const;
};

/// The domain of an address in lower case without a final dot: what follows the last "@"; empty when there is none.
[[nodiscard]] std::string domain_of(std::string_view address);

/// What is wrong with a pattern; empty: nothing.
[[nodiscard]] std::string fault_of_pattern(std::string_view pattern);

} // namespace hedwig::filter_domain
