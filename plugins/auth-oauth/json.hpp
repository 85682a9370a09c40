// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Poco/JSON/Object.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::auth_oauth {

/// A JSON object that somebody else wrote. Whoever asks for a type gets that type or nothing: no text becomes a number.
class json_object {
public:
  /// Nothing when the text is no object, or nested deeper than 16 levels.
  [[nodiscard]] static std::optional<json_object> parse(std::string_view text);

  [[nodiscard]] bool has(const std::string& name) const { return held_->has(name); }
  [[nodiscard]] std::optional<std::string> text(const std::string& name) const;
  [[nodiscard]] std::optional<bool> boolean(const std::string& name) const;
  /// Whole or not; finite.
  [[nodiscard]] std::optional<double> number(const std::string& name) const;
  /// A text alone, or a list of texts; empty: neither, or not there.
  [[nodiscard]] std::vector<std::string> texts(const std::string& name) const;
  /// The objects in a list, other things left out; nothing when there is no list.
  [[nodiscard]] std::optional<std::vector<json_object>> objects(const std::string& name) const;

private:
  explicit json_object(Poco::JSON::Object::Ptr held) : held_{std::move(held)} {}
  Poco::JSON::Object::Ptr held_; // never null
};

} // namespace hedwig::auth_oauth
