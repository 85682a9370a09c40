// SPDX-License-Identifier: Apache-2.0
#include "lists.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace hedwig::filter_dnsbl {

namespace {

using sdk::failure;
using sdk::key;
using sdk::key_in_range;
using sdk::key_of_choices;

constexpr std::size_t lists_max = 50;
constexpr std::size_t name_max = 253; // RFC 1035, section 2.3.4, without the final dot
constexpr std::int64_t weight_max = 1'000'000;
constexpr std::int64_t millisecond = 1'000'000;

constexpr auto reloadable = HEDWIG_CONFIG_RELOADABLE;
constexpr const char* subject_names[] = {"client", "sender_domain", nullptr};
constexpr auto zone_key = key(HEDWIG_CONFIG_STRING, "zone", "The list's domain, such as \"zen.spamhaus.org\".",
                              HEDWIG_CONFIG_REQUIRED | reloadable);
constexpr auto subject_key = key_of_choices("of", "What is asked for: the client's address, or the sender's domain.",
                                            reloadable, "client", subject_names);
constexpr auto weight_key =
    key_in_range(HEDWIG_CONFIG_INTEGER, "weight", "What it counts to be listed; below 0 on a list of the good ones.",
                 reloadable, "1", -weight_max, weight_max);
constexpr auto answers_key = key(
    HEDWIG_CONFIG_STRINGS, "answers",
    "Answers that count: \"127.0.0.2\", \"127.0.0.4-11\", or \"127.0.0.&12\" for any of these bits. Default: all of "
    "127.0.0.0/8 but 127.0.0.1 and 127.255.0.0/16, which lists use for errors.",
    reloadable);
constexpr const hedwig_config_key* list_keys[] = {&zone_key, &subject_key, &weight_key, &answers_key};
constexpr hedwig_config_schema list_schema{sizeof list_schema, std::size(list_keys), list_keys};

constexpr auto lists_key =
    key(HEDWIG_CONFIG_TABLES, "list", "One table for each list; a list whose answers differ in weight has several.",
        HEDWIG_CONFIG_REQUIRED | reloadable, nullptr, &list_schema);
constexpr auto reject_key = key_in_range(HEDWIG_CONFIG_INTEGER, "reject_at", "MAIL is refused (550) from this sum on.",
                                         reloadable, nullptr, -weight_max, weight_max);
constexpr auto tempfail_key =
    key_in_range(HEDWIG_CONFIG_INTEGER, "tempfail_at", "MAIL is put off (450) from this sum on.", reloadable, nullptr,
                 -weight_max, weight_max);
constexpr auto timeout_key =
    key_in_range(HEDWIG_CONFIG_DURATION, "timeout", "Time for all answers together; a list that is later says nothing.",
                 reloadable, "3s", 10 * millisecond, 60'000 * millisecond);
constexpr auto clients_key =
    key(HEDWIG_CONFIG_STRINGS, "exempt_clients", "Addresses and networks that are not asked for.", reloadable);
constexpr auto authenticated_key = key(HEDWIG_CONFIG_BOOLEAN, "exempt_authenticated",
                                       "Clients that have authenticated are not asked for.", reloadable, "true");
constexpr auto private_key = key(HEDWIG_CONFIG_BOOLEAN, "check_private",
                                 "Ask for private addresses, too: for lists of one's own.", reloadable, "false");
constexpr auto listeners_key =
    key(HEDWIG_CONFIG_STRINGS, "listeners", "Names of listeners; otherwise the lists are for all.", reloadable);
#ifdef HEDWIG_DNSBL_TAGS
constexpr auto tag_key = key_in_range(HEDWIG_CONFIG_INTEGER, "tag_at", "Messages get tag_header from this sum on.",
                                      reloadable, nullptr, -weight_max, weight_max);
constexpr auto header_key =
    key(HEDWIG_CONFIG_STRING, "tag_header",
        "The header field; those of this name that a message comes with are removed.", reloadable, "\"X-DNSBL\"");
#endif
constexpr const hedwig_config_key* keys[] = {&lists_key,   &reject_key,        &tempfail_key, &timeout_key,
                                             &clients_key, &authenticated_key, &private_key,  &listeners_key,
#ifdef HEDWIG_DNSBL_TAGS
                                             &tag_key,     &header_key
#endif
};

std::uint8_t octet(std::string_view text) {
  unsigned value = 256;
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc{} || end != text.data() + text.size() || value > 255)
    throw std::invalid_argument{"write \"127.0.0.2\", \"127.0.0.4-11\" or \"127.0.0.&12\""};
  return static_cast<std::uint8_t>(value);
}

bool good_name(std::string_view name) {
  auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  if (name.empty() || name.size() > name_max || !std::ranges::all_of(name, good))
    return false;
  for (std::size_t begin = 0; begin <= name.size();) {
    auto end = std::min(name.find('.', begin), name.size());
    if (end == begin || end - begin > 63)
      return false;
    begin = end + 1;
  }
  return true;
}

std::string dnsbl_lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

failure fault_of_list(std::size_t number, const char* name, const std::string& what) {
  return {HEDWIG_E_CONFIG, "list " + std::to_string(number) + ": " + what, std::string{"list."} + name};
}

void read_list(const sdk::config& table, std::size_t number, list_set& into) {
  auto name = dnsbl_lower(table.string("zone"));
  if (name.ends_with('.'))
    name.pop_back();
  if (!good_name(name))
    throw fault_of_list(number, "zone", "\"" + name + "\" is not the name of a zone");
  weighing one{{}, table.integer("weight")};
  for (auto& text : table.strings("answers"))
    try {
      one.answers.push_back(answer_pattern::parse(text));
    } catch (const std::invalid_argument& e) {
      throw fault_of_list(number, "answers", "\"" + text + "\": " + e.what());
    }
  auto of_domains = table.string("of") == "sender_domain";
  auto same = [&](const zone& other) { return other.name == name && other.of_domains == of_domains; };
  auto found = std::ranges::find_if(into.zones, same);
  if (found == into.zones.end())
    found = into.zones.insert(into.zones.end(), {name, of_domains, {}});
  found->weighings.push_back(std::move(one));
}

std::optional<std::int64_t> threshold(const sdk::config& config, const char* name) {
  return config.is_set(name) ? std::optional{config.integer(name)} : std::nullopt;
}

} // namespace

constinit const hedwig_config_schema schema{sizeof schema, std::size(keys), keys};

answer_pattern answer_pattern::parse(std::string_view text) {
  answer_pattern out;
  for (auto& one : out.network_) {
    auto dot = text.find('.');
    one = octet(text.substr(0, dot));
    text.remove_prefix(dot == std::string_view::npos ? text.size() : dot + 1);
  }
  if (text.starts_with('&')) {
    out.bits_ = octet(text.substr(1));
    if (out.bits_ == 0)
      throw std::invalid_argument{"no bit of 0 is ever set"};
    return out;
  }
  auto dash = text.find('-');
  out.low_ = octet(text.substr(0, dash));
  out.high_ = dash == std::string_view::npos ? out.low_ : octet(text.substr(dash + 1));
  if (out.low_ > out.high_)
    throw std::invalid_argument{"the range ends before it begins"};
  return out;
}

bool answer_pattern::is_usual(const std::array<std::uint8_t, 4>& answer) noexcept {
  return answer[0] == 127 && answer[1] != 255 && answer != std::array<std::uint8_t, 4>{127, 0, 0, 1};
}

bool answer_pattern::matches(const std::array<std::uint8_t, 4>& answer) const noexcept {
  if (!std::equal(network_.begin(), network_.end(), answer.begin()))
    return false;
  return bits_ != 0 ? (answer[3] & bits_) != 0 : answer[3] >= low_ && answer[3] <= high_;
}

std::int64_t zone::weigh(const std::vector<std::array<std::uint8_t, 4>>& answers) const {
  std::int64_t sum = 0;
  for (auto& one : weighings) {
    auto counts = [&](auto& answer) {
      if (one.answers.empty())
        return answer_pattern::is_usual(answer);
      return std::ranges::any_of(one.answers, [&](auto& pattern) { return pattern.matches(answer); });
    };
    if (std::ranges::any_of(answers, counts))
      sum += one.weight;
  }
  return sum;
}

std::string name_of_address(const client_address& address, const std::string& zone) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  auto& octets = address.octets();
  for (std::size_t i = octets.size(); i-- > (address.is_ipv4() ? 12U : 0U);) {
    if (address.is_ipv4()) {
      (out += std::to_string(octets[i])) += '.';
      continue;
    }
    for (auto nibble : {octets[i] & 15, octets[i] >> 4}) {
      out += digits[nibble];
      out += '.';
    }
  }
  return out + zone;
}

std::string name_of_domain(std::string_view domain, const std::string& zone) {
  auto name = dnsbl_lower(domain);
  if (name.ends_with('.'))
    name.pop_back();
  return good_name(name) && name.find('.') != name.npos && good_name(name + "." + zone) ? name + "." + zone
                                                                                        : std::string{};
}

bool is_private(const client_address& address) {
  static const std::vector<network> networks = [] {
    std::vector<network> out;
    for (auto* text : {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16",
                       "100.64.0.0/10", "0.0.0.0/8", "fc00::/7", "fe80::/10", "::1", "::"})
      out.push_back(*network::parse(text));
    return out;
  }();
  return std::ranges::any_of(networks, [&](auto& one) { return one.contains(address); });
}

list_set read_lists(const sdk::config& config) {
  list_set out;
  auto count = config.count("list");
  if (count == 0 || count > lists_max)
    throw failure{HEDWIG_E_CONFIG, "has 1 to 50 lists", "list"};
  for (std::size_t i = 0; i < count; ++i)
    read_list(config.table("list", i), i + 1, out);
  for (auto& one : config.strings("exempt_clients")) {
    auto read = network::parse(one);
    if (!read)
      throw failure{HEDWIG_E_CONFIG, "\"" + one + "\" is no address and no network", "exempt_clients"};
    out.exempt_clients.push_back(*read);
  }
  out.listeners = config.strings("listeners");
  out.exempt_authenticated = config.boolean("exempt_authenticated");
  out.check_private = config.boolean("check_private");
  out.timeout = config.duration("timeout");
  out.reject_at = threshold(config, "reject_at");
  out.tempfail_at = threshold(config, "tempfail_at");
#ifdef HEDWIG_DNSBL_TAGS
  out.tag_at = threshold(config, "tag_at");
  out.tag_header = config.string("tag_header");
  auto good = [](char c) { return c > ' ' && c < 0x7F && c != ':'; };
  if (out.tag_header.empty() || out.tag_header.size() > 76 || !std::ranges::all_of(out.tag_header, good))
    throw failure{HEDWIG_E_CONFIG, "\"" + out.tag_header + "\" is not the name of a header field", "tag_header"};
#endif
  if (!out.reject_at && !out.tempfail_at && !out.tag_at)
    throw failure{HEDWIG_E_CONFIG, "nothing follows from any sum: set a threshold", "reject_at"};
  return out;
}

} // namespace hedwig::filter_dnsbl
