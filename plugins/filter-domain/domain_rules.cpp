// SPDX-License-Identifier: Apache-2.0
#include "domain_rules.hpp"

#include <algorithm>

namespace hedwig::filter_domain {

namespace {

std::string normal(std::string_view domain) {
  if (domain.ends_with('.'))
    domain.remove_suffix(1);
  std::string out{domain};
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

} // namespace

void domain_set::add(std::string_view pattern) {
  if (pattern == "*")
    everything_ = true;
  else if (pattern.starts_with("*."))
    below_.insert(normal(pattern.substr(2)));
  else
    exact_.insert(normal(pattern));
}

bool domain_set::contains(const std::string& domain) const {
  if (everything_ || exact_.contains(domain))
    return true;
  if (below_.empty())
    return false;
  // A domain has at most 127 labels; longer ones are cut off by what the host accepts as an address.
  for (auto dot = domain.find('.'); dot != std::string::npos; dot = domain.find('.', dot + 1)) {
    if (below_.contains(domain.substr(dot + 1)))
      return true;
  }
  return false;
}

bool domain_rules::accepts(const std::string& domain) const {
  if (deny.contains(domain))
    return false;
  return allow.empty() || allow.contains(domain);
}

std::string domain_of(std::string_view address) {
  auto at = address.rfind('@');
  return at == std::string_view::npos ? std::string{} : normal(address.substr(at + 1));
}

std::string fault_of_pattern(std::string_view pattern) {
  auto rest = pattern.starts_with("*.") ? pattern.substr(2) : pattern;
  if (pattern == "*")
    return {};
  if (rest.empty() || pattern.size() > 255)
    return "a domain has 1 to 255 characters";
  if (rest.find_first_of("*@ \t") != std::string_view::npos)
    return "write \"example.com\" for that domain or \"*.example.com\" for those below it";
  return {};
}

} // namespace hedwig::filter_domain
