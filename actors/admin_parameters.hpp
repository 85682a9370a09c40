// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/admin_api.hpp"

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

/// What the sources of the admin API share. Every function: any thread.
namespace hedwig::api {

[[nodiscard]] admin_answer failure(int status, std::string_view why);
[[nodiscard]] admin_answer wrong_method(std::string allowed);
[[nodiscard]] admin_answer json(const Poco::JSON::Object& object);
[[nodiscard]] inline bool reads(std::string_view method) { return method == "GET" || method == "HEAD"; }
/// The first parameter that the path does not know, or nothing.
[[nodiscard]] std::string_view unknown_parameter(const std::map<std::string, std::string>& given,
                                                 std::initializer_list<std::string_view> known);
/// `otherwise` for an empty text; nothing where it is no number from `least` to `most`.
[[nodiscard]] std::optional<std::uint64_t> number_of(const std::string& text, std::uint64_t otherwise,
                                                     std::uint64_t least, std::uint64_t most);

} // namespace hedwig::api
