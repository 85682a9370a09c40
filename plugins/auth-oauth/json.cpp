// SPDX-License-Identifier: Apache-2.0
#include "json.hpp"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Parser.h>

#include <cmath>

namespace hedwig::auth_oauth {

namespace {

constexpr std::size_t depth_max = 16;

} // namespace

std::optional<json_object> json_object::parse(std::string_view text) {
  try {
    Poco::JSON::Parser parser;
    parser.setDepth(depth_max);
    auto value = parser.parse(std::string{text});
    if (value.type() != typeid(Poco::JSON::Object::Ptr))
      return std::nullopt;
    return json_object{value.extract<Poco::JSON::Object::Ptr>()};
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

std::optional<std::string> json_object::text(const std::string& name) const {
  auto value = held_->get(name);
  return value.isString() ? std::optional{value.extract<std::string>()} : std::nullopt;
}

std::optional<bool> json_object::boolean(const std::string& name) const {
  auto value = held_->get(name);
  return value.isBoolean() ? std::optional{value.extract<bool>()} : std::nullopt;
}

std::optional<double> json_object::number(const std::string& name) const {
  auto value = held_->get(name);
  if (value.isEmpty() || value.isString() || value.isBoolean() || !value.isNumeric())
    return std::nullopt;
  auto number = value.convert<double>();
  return std::isfinite(number) ? std::optional{number} : std::nullopt;
}

std::vector<std::string> json_object::texts(const std::string& name) const {
  std::vector<std::string> out;
  if (auto one = text(name))
    out.push_back(std::move(*one));
  else if (auto list = held_->getArray(name))
    for (auto& value : *list)
      if (value.isString())
        out.push_back(value.extract<std::string>());
  return out;
}

std::optional<std::vector<json_object>> json_object::objects(const std::string& name) const {
  auto list = held_->getArray(name);
  if (!list)
    return std::nullopt;
  std::vector<json_object> out;
  for (auto& value : *list)
    if (value.type() == typeid(Poco::JSON::Object::Ptr))
      out.push_back(json_object{value.extract<Poco::JSON::Object::Ptr>()});
  return out;
}

} // namespace hedwig::auth_oauth
