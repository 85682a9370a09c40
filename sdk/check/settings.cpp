// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/settings.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <fmt/ranges.h>
#include <toml++/toml.h>

#include "sdk/check/config_watch.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check {

struct settings_file::document {
  toml::table root;
};

namespace {

struct place {
  std::string_view folder;
  std::string_view unique;
  const std::filesystem::path& base;
};

[[noreturn]] void refuse(const std::string& key, std::string_view what) {
  throw unusable{fmt::format("settings: {}: {}", key, what)};
}

std::shared_ptr<const hedwig_config> read_table(const toml::table& from, const hedwig_config_schema* schema,
                                                const std::string& prefix, const place& where);

std::string secret_of(const toml::node& node, const std::string& key) {
  if (auto text = node.value<std::string>())
    return *text;
  auto* table = node.as_table();
  if (table == nullptr)
    refuse(key, "a text, or a table with `file` or `env`, belongs here");
  if (auto name = (*table)["env"].value<std::string>())
    if (auto* text = std::getenv(name->c_str()))
      return text;
  std::ifstream in{(*table)["file"].value_or(std::string{})};
  std::ostringstream text;
  text << in.rdbuf();
  auto secret = text.str();
  while (secret.ends_with('\n'))
    secret.pop_back();
  return secret;
}

std::int64_t number_of(const toml::node& node, const hedwig_config_key& key, const std::string& name) {
  auto number = node.value<std::int64_t>();
  if (key.type == HEDWIG_CONFIG_INTEGER && number)
    return *number;
  auto text = node.value<std::string>();
  std::optional<std::int64_t> read;
  if (key.type == HEDWIG_CONFIG_DURATION && text)
    read = sdk::testing::duration_of(*text);
  if (key.type == HEDWIG_CONFIG_SIZE)
    read = text ? sdk::testing::size_of(*text) : number;
  if (!read)
    refuse(name, "a number with its unit belongs here, such as \"5s\" or \"64MiB\"");
  return *read;
}

hedwig_config::value numeric_value(const toml::node& node, const hedwig_config_key& key, const std::string& name) {
  auto number = number_of(node, key, name);
  if (key.minimum != key.maximum && (number < key.minimum || number > key.maximum))
    refuse(name, fmt::format("{} is not between {} and {}", number, key.minimum, key.maximum));
  return number;
}

hedwig_config::value text_value(const toml::node& node, const hedwig_config_key& key, const std::string& name,
                                const place& where) {
  auto text = node.value<std::string>();
  if (!text)
    refuse(name, "a text belongs here");
  *text = fill_in(*text, where.folder, where.unique);
  if (key.type == HEDWIG_CONFIG_PATH)
    return (where.base / *text).lexically_normal().string();
  if (key.choices == nullptr)
    return *text;
  for (auto* const* choice = key.choices; *choice != nullptr; ++choice)
    if (*text == *choice)
      return *text;
  refuse(name, fmt::format("\"{}\" is not among the choices", *text));
}

hedwig_config::value list_value(const toml::node& node, const hedwig_config_key& key, const std::string& name,
                                const place& where) {
  auto* array = node.as_array();
  if (array == nullptr)
    refuse(name, "a list belongs here");
  std::vector<std::string> texts;
  hedwig_config::tables tables;
  for (auto& one : *array)
    if (key.type == HEDWIG_CONFIG_STRINGS)
      texts.push_back(fill_in(one.value_or(std::string{}), where.folder, where.unique));
    else if (one.is_table())
      tables.push_back(read_table(*one.as_table(), key.nested, name + ".", where));
  if (key.type == HEDWIG_CONFIG_STRINGS)
    return texts;
  return tables;
}

hedwig_config::value value_of(const toml::node& node, const hedwig_config_key& key, const std::string& name,
                              const place& where) {
  switch (key.type) {
  case HEDWIG_CONFIG_INTEGER:
  case HEDWIG_CONFIG_DURATION:
  case HEDWIG_CONFIG_SIZE:
    return numeric_value(node, key, name);
  case HEDWIG_CONFIG_BOOLEAN:
    if (auto truth = node.value<bool>())
      return *truth;
    refuse(name, "true or false belongs here");
  case HEDWIG_CONFIG_SECRET:
    return fill_in(secret_of(node, name), where.folder, where.unique);
  case HEDWIG_CONFIG_STRINGS:
  case HEDWIG_CONFIG_TABLES:
    return list_value(node, key, name, where);
  default:
    return text_value(node, key, name, where);
  }
}

/// The default as its schema writes it: quoted or bare, as TOML or not quite.
hedwig_config::value default_of(const hedwig_config_key& key, const std::string& name, const place& where) {
  std::string text{key.default_value};
  bool bare = key.type == HEDWIG_CONFIG_INTEGER || key.type == HEDWIG_CONFIG_BOOLEAN ||
              key.type == HEDWIG_CONFIG_STRINGS || text.starts_with('"');
  try {
    auto parsed = toml::parse(bare ? "v = " + text : "v = \"" + text + "\"");
    return value_of(*parsed.get("v"), key, name, where);
  } catch (const toml::parse_error&) {
    refuse(name, fmt::format("the schema's default, {}, cannot be read", text));
  }
}

/// Fails for what the schema does not name.
void refuse_unknown(const toml::table& from, const hedwig_config_schema* schema, const std::string& path,
                    const std::string& prefix) {
  for (auto& [raw, node] : from) {
    auto name = path + std::string{raw.str()};
    bool known = false, below = false;
    for (std::uint32_t i = 0; schema != nullptr && i < schema->key_count; ++i) {
      known = known || name == schema->keys[i]->name;
      below = below || std::string_view{schema->keys[i]->name}.starts_with(name + ".");
    }
    if (known || (path.empty() && prefix.empty() && name == "check"))
      continue;
    if (!below || !node.is_table())
      refuse(prefix + name, "the plugin's schema does not know this key");
    refuse_unknown(*node.as_table(), schema, name + ".", prefix);
  }
}

std::shared_ptr<const hedwig_config> read_table(const toml::table& from, const hedwig_config_schema* schema,
                                                const std::string& prefix, const place& where) {
  auto made = std::make_shared<hedwig_config>();
  refuse_unknown(from, schema, {}, prefix);
  for (std::uint32_t i = 0; schema != nullptr && i < schema->key_count; ++i) {
    auto& key = *schema->keys[i];
    auto name = prefix + key.name;
    if (auto* node = from.at_path(key.name).node(); node != nullptr)
      made->values[key.name] = value_of(*node, key, name, where);
    else if (key.default_value != nullptr)
      made->values[key.name] = default_of(key, name, where);
    else if ((key.flags & HEDWIG_CONFIG_REQUIRED) != 0 && key.type == HEDWIG_CONFIG_PATH)
      made->values[key.name] = fmt::format("{}/{}", where.folder, key.name);
    else if ((key.flags & HEDWIG_CONFIG_REQUIRED) != 0 && where.base.empty())
      throw skipped{fmt::format("{} is required: write the settings into a file and give that with --config", name)};
    else if ((key.flags & HEDWIG_CONFIG_REQUIRED) != 0)
      refuse(name, "required: write it into the file given with --config");
  }
  watch_settings(made.get(), schema);
  return made;
}

constexpr std::array<std::string_view, 11> check_keys{"provider", "remote", "volatile",     "prepare",
                                                      "cleanup",  "users",  "unknown_user", "refused_tokens",
                                                      "scram",    "outage", "messages"};

std::vector<std::string> read_texts(const toml::node_view<const toml::node>& from) {
  std::vector<std::string> texts;
  if (auto* all = from.as_array())
    for (auto& one : *all)
      texts.push_back(one.value_or(std::string{}));
  return texts;
}

known_message read_message(const toml::node& node) {
  auto* table = node.as_table();
  if (table == nullptr)
    refuse("check.messages", "a table belongs here");
  known_message read;
  auto& from = *table;
  read.peer = from["peer"].value_or(read.peer);
  read.peer_name = from["peer_name"].value_or(read.peer_name);
  read.helo = from["helo"].value_or(read.helo);
  read.identity = from["identity"].value_or(read.identity);
  read.sender = from["sender"].value_or(read.sender);
  read.body = from["body"].value_or(read.body);
  read.recipients = read_texts(from["recipients"]);
  if (read.recipients.empty())
    read.recipients.emplace_back("recipient@example.net");
  for (auto& line : read_texts(from["header"])) {
    auto colon = line.find(':');
    if (colon == std::string::npos)
      refuse("check.messages.header", fmt::format("\"{}\" is no header field", line));
    auto value = line.find_first_not_of(' ', colon + 1);
    read.fields.emplace_back(line.substr(0, colon), value == line.npos ? std::string{} : line.substr(value));
  }
  return read;
}

known_accounts read_accounts(const toml::table& root) {
  known_accounts read;
  auto table = root["check"];
  if (auto* users = table["users"].as_array())
    for (auto& one : *users) {
      auto* user = one.as_table();
      if (user == nullptr || !(*user)["name"].is_string())
        refuse("check.users", "a table with a name, and a password or a token, belongs here");
      read.users.push_back({(*user)["name"].value_or(std::string{}), (*user)["password"].value_or(std::string{}),
                            (*user)["token"].value_or(std::string{})});
    }
  read.unknown_user = table["unknown_user"].value_or(read.unknown_user);
  if (auto* tokens = table["refused_tokens"].as_array())
    for (auto& one : *tokens)
      read.refused_tokens.push_back(one.value_or(std::string{}));
  read.scram = table["scram"].value_or(true);
  return read;
}

} // namespace

void read_default(const hedwig_config_key& key) {
  std::filesystem::path here{"/"};
  static_cast<void>(default_of(key, key.name, {"/folder", "unique", here}));
}

std::string fill_in(std::string text, std::string_view folder, std::string_view unique) {
  for (auto [mark, with] : {std::pair{std::string_view{"{folder}"}, folder}, {std::string_view{"{unique}"}, unique}})
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + with.size()))
      text.replace(at, mark.size(), with);
  return text;
}

settings_file::settings_file() : document_{std::make_unique<document>()} {}
settings_file::~settings_file() = default;

settings_file::settings_file(const std::string& file) : settings_file{} {
  file_ = std::filesystem::absolute(file).string();
  try {
    document_->root = toml::parse_file(file);
  } catch (const toml::parse_error& e) {
    throw unusable{fmt::format("{}:{}:{}: {}", file, e.source().begin.line, e.source().begin.column, e.description())};
  }
  base_ = std::filesystem::absolute(file).parent_path();
  auto table = document_->root["check"];
  provider_ = table["provider"].value_or(std::string{});
  remote_ = table["remote"].value_or(false);
  volatile_ = table["volatile"].value_or(false);
  prepare_ = table["prepare"].value_or(std::string{});
  cleanup_ = table["cleanup"].value_or(std::string{});
  accounts_ = read_accounts(document_->root);
  if (auto* all = table["messages"].as_array())
    for (auto& one : *all)
      messages_.push_back(read_message(one));
  if (auto* own = table.as_table())
    for (auto& [key, node] : *own)
      if (std::ranges::find(check_keys, key.str()) == check_keys.end())
        throw unusable{
            fmt::format("{}: check.{}: unknown; known are {}", file, key.str(), fmt::join(check_keys, ", "))};
}

std::shared_ptr<const hedwig_config>
settings_file::read_outage(const hedwig_provider& provider, std::string_view folder, std::string_view unique) const {
  auto* outage = document_->root["check"]["outage"].as_table();
  if (outage == nullptr)
    return nullptr;
  auto merged = document_->root;
  for (auto& [key, node] : *outage)
    merged.insert_or_assign(key, node);
  return read_table(merged, provider.schema, {}, {folder, unique, base_});
}

std::shared_ptr<const hedwig_config> settings_file::read(const hedwig_provider& provider, std::string_view folder,
                                                         std::string_view unique) const {
  return read_table(document_->root, provider.schema, {}, {folder, unique, base_});
}

std::string settings_file::prepare(std::string_view folder, std::string_view unique) const {
  return fill_in(prepare_, folder, unique);
}
std::string settings_file::cleanup(std::string_view folder, std::string_view unique) const {
  return fill_in(cleanup_, folder, unique);
}

} // namespace hedwig::check
