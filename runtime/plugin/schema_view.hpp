// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/config.h>

#include <cstring>
#include <string_view>
#include <vector>

#include "runtime/plugin/table_copy.hpp"

namespace hedwig::plugin {

/// The keys of a schema that schema_faults() found nothing wrong with; null: none.
class schema_view {
public:
  explicit schema_view(const hedwig_config_schema* raw) noexcept : raw_{raw} {}

  [[nodiscard]] std::uint32_t count() const noexcept { return raw_ == nullptr ? 0 : raw_->key_count; }

  template <class Visit>
  void each(Visit&& visit) const {
    for (std::uint32_t i = 0; i < count(); ++i)
      visit(*raw_->keys[i]);
  }

  [[nodiscard]] const hedwig_config_key* find(std::string_view name) const noexcept {
    for (std::uint32_t i = 0; i < count(); ++i) {
      if (raw_->keys[i]->name == name)
        return raw_->keys[i];
    }
    return nullptr;
  }

  /// Whether a key "name.…" exists.
  [[nodiscard]] bool has_below(std::string_view name) const noexcept {
    bool found = false;
    each([&](const hedwig_config_key& key) {
      std::string_view known{key.name};
      found = found || (known.size() > name.size() && known.starts_with(name) && known[name.size()] == '.');
    });
    return found;
  }

  [[nodiscard]] std::vector<std::string_view> names() const {
    std::vector<std::string_view> out;
    each([&](const hedwig_config_key& key) { out.emplace_back(key.name); });
    return out;
  }

private:
  const hedwig_config_schema* raw_;
};

} // namespace hedwig::plugin
