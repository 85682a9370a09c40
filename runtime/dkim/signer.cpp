// SPDX-License-Identifier: Apache-2.0
#include "runtime/dkim/signer.hpp"

#include "runtime/dkim/canonical.hpp"
#include "runtime/dkim/header.hpp"

#include <botan/base64.h>
#include <botan/hash.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

namespace hedwig::dkim {

namespace {

constexpr std::size_t line_max = 76; // RFC 5322 advises 78 with CRLF left out

constexpr std::array<std::string_view, 12> oversigned{
    "From",     "To",          "Cc",         "Subject",      "Date",         "Message-ID",
    "Reply-To", "In-Reply-To", "References", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"};
constexpr std::array<std::string_view, 8> signed_where_present{
    "List-Id",   "List-Help",  "List-Subscribe", "List-Unsubscribe", "List-Unsubscribe-Post",
    "List-Post", "List-Owner", "List-Archive"};

std::string lower(std::string_view text) {
  std::string out{text};
  for (auto& c : out)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// RFC 6376, section 3.5, d= and s=: labels of letters, digits and '-'; '_' is common in selectors.
bool is_name(std::string_view name) {
  if (name.empty() || name.size() > 253 || name.front() == '.' || name.back() == '.' || name.find("..") != name.npos)
    return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
  });
}

// RFC 5322, section 3.6.8, without ';', which ends a tag.
bool is_field_name(std::string_view name) {
  return !name.empty() && name.size() <= 76 &&
         std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7f && c != ':' && c != ';'; });
}

std::string sha256(std::string_view text) {
  auto hash = Botan::HashFunction::create_or_throw("SHA-256");
  hash->update(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  std::string digest(hash->output_length(), '\0');
  hash->final(reinterpret_cast<std::uint8_t*>(digest.data()));
  return digest;
}

std::string base64(std::string_view bytes) {
  return Botan::base64_encode(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

class body_hasher final : public relaxed_body {
public:
  [[nodiscard]] std::string digest() {
    finish();
    std::string out(hash_->output_length(), '\0');
    hash_->final(reinterpret_cast<std::uint8_t*>(out.data()));
    return out;
  }

private:
  void take(std::string_view canonical) override {
    hash_->update(reinterpret_cast<const std::uint8_t*>(canonical.data()), canonical.size());
  }
  std::unique_ptr<Botan::HashFunction> hash_ = Botan::HashFunction::create_or_throw("SHA-256");
};

/// The value of h= and the canonical fields it names.
struct selection {
  std::vector<std::string> names;
  std::string canonical;
};

// Fields are signed from the last up (RFC 6376, section 5.4.2); one name more than there are fields makes sure that
// a field added later breaks the signature.
void select(selection& into, const header_fields& header, std::string_view name, bool once_more) {
  auto& fields = header.named(lower(name));
  for (auto field = fields.rbegin(); field != fields.rend() && into.names.size() <= signed_fields_max; ++field) {
    into.names.emplace_back(name);
    into.canonical += relaxed_field(*field) + "\r\n";
  }
  if (once_more)
    into.names.emplace_back(name);
}

selection select_all(const signer_settings& by, const header_fields& header) {
  selection made;
  if (!by.fields.empty()) {
    for (auto& name : by.fields)
      select(made, header, name, true);
    return made;
  }
  for (auto name : oversigned)
    select(made, header, name, true);
  for (auto name : signed_where_present)
    select(made, header, name, false);
  return made;
}

/// Writes a field in lines of at most line_max.
class folded_field {
public:
  explicit folded_field(std::string_view start) : text_{start}, column_{start.size()} {}

  /// Bytes that stay together, after a space or a fold.
  void word(std::string_view bytes) {
    if (column_ + 1 + bytes.size() > line_max)
      fold();
    else
      glue(" ");
    glue(bytes);
  }
  /// Bytes that stay together, right behind the last ones or after a fold.
  void part(std::string_view bytes) {
    if (column_ + bytes.size() > line_max)
      fold();
    glue(bytes);
  }
  void fold() {
    text_ += "\r\n\t";
    column_ = 1;
  }
  void glue(std::string_view bytes) {
    text_ += bytes;
    column_ += bytes.size();
  }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
  std::string text_;
  std::size_t column_;
};

std::int64_t seconds(wall_time now) {
  return std::max<std::int64_t>(0, std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count());
}

folded_field unsigned_field(const signer_settings& by, const std::vector<std::string>& names,
                            std::string_view body_digest, wall_time now) {
  folded_field field{"DKIM-Signature: v=1;"};
  field.word(fmt::format("a={}-sha256;", to_string_view(by.key.type())));
  field.word("c=relaxed/relaxed;");
  field.word(fmt::format("d={};", by.domain));
  field.word(fmt::format("s={};", by.selector));
  field.word(fmt::format("t={};", seconds(now)));
  if (by.expiry > std::chrono::seconds{0})
    field.word(fmt::format("x={};",
                           seconds(now) + std::min(by.expiry, std::chrono::seconds{std::chrono::years{100}}).count()));
  field.word(fmt::format("bh={};", base64(body_digest)));
  field.fold();
  field.glue("h=");
  for (std::size_t i = 0; i < names.size(); ++i)
    field.part(names[i] + (i + 1 < names.size() ? ":" : ";"));
  field.fold();
  field.glue("b=");
  return field;
}

result<std::string> signature_field(const signer_settings& by, const header_fields& header,
                                    std::string_view body_digest, wall_time now) {
  auto chosen = select_all(by, header);
  if (chosen.names.size() > signed_fields_max)
    return std::unexpected{
        error{HEDWIG_E_INVALID, fmt::format("more than {} header fields to sign", signed_fields_max), {}}};
  auto field = unsigned_field(by, chosen.names, body_digest, now);
  auto signature = by.key.sign(sha256(chosen.canonical + relaxed_field(field.text())));
  if (!signature)
    return std::unexpected{std::move(signature).error()};
  auto encoded = base64(*signature);
  for (std::size_t at = 0; at < encoded.size(); at += 4)
    field.part(std::string_view{encoded}.substr(at, 4));
  return field.text() + "\r\n";
}

std::unexpected<error> refused(std::size_t i, std::string_view key, std::string message) {
  return std::unexpected{error{HEDWIG_E_CONFIG, std::move(message), fmt::format("dkim[{}].{}", i, key)}};
}

bool is_pattern(std::string_view pattern) {
  return pattern == "*" || is_name(pattern.starts_with("*.") ? pattern.substr(2) : pattern);
}

result<void> check(const signer_settings& one, std::size_t i) {
  constexpr std::string_view names = "letters, digits, '-', '_' and dots; an international domain as xn--";
  if (!is_name(one.domain))
    return refused(i, "domain", fmt::format("\"{}\" is no domain: write {}", one.domain, names));
  if (!is_name(one.selector))
    return refused(i, "selector", fmt::format("\"{}\" is no selector: write {}", one.selector, names));
  for (auto& pattern : one.applies_to)
    if (!is_pattern(pattern))
      return refused(
          i, "applies_to",
          fmt::format("\"{}\" is no domain pattern: write \"example.com\", \"*.example.com\" or \"*\"", pattern));
  for (auto& name : one.fields)
    if (!is_field_name(name))
      return refused(i, "headers", fmt::format("\"{}\" is no header field name", name));
  return {};
}

// From must be signed, and a name must stand once: select() takes all its fields.
void complete_fields(std::vector<std::string>& fields) {
  if (fields.empty())
    return;
  fields.insert(fields.begin(), "From");
  std::vector<std::string> seen;
  std::erase_if(fields, [&seen](const std::string& name) {
    auto key = lower(name);
    bool known = std::ranges::find(seen, key) != seen.end();
    seen.push_back(std::move(key));
    return known;
  });
}

} // namespace

std::span<const std::string_view> default_oversigned_fields() noexcept { return oversigned; }
std::span<const std::string_view> default_signed_fields() noexcept { return signed_where_present; }

result<signer> signer::make(std::vector<signer_settings> settings) {
  signer made;
  for (std::size_t i = 0; i < settings.size(); ++i) {
    auto& one = settings[i];
    if (auto fine = check(one, i); !fine)
      return std::unexpected{std::move(fine).error()};
    one.domain = lower(one.domain);
    complete_fields(one.fields);
    auto patterns = one.applies_to.empty() ? std::vector{one.domain} : one.applies_to;
    for (auto& written : patterns) {
      auto pattern = lower(written);
      auto& known = pattern == "*"              ? made.star_
                    : pattern.starts_with("*.") ? made.suffixes_[pattern.substr(2)]
                                                : made.exact_[pattern];
      if (known.empty() || known.back() != i)
        known.push_back(i);
    }
  }
  made.settings_ = std::move(settings);
  return made;
}

const signer::chosen* signer::choose(std::string_view domain) const {
  constexpr std::size_t domain_max = 255;
  if (domain.empty() || domain.size() > domain_max)
    return nullptr;
  auto name = lower(domain);
  if (auto found = exact_.find(name); found != exact_.end())
    return &found->second;
  for (auto dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1))
    if (auto found = suffixes_.find(name.substr(dot + 1)); found != suffixes_.end())
      return &found->second;
  return star_.empty() ? nullptr : &star_;
}

const signer::chosen* signer::choose(std::span<const std::string> from_domains,
                                     std::string_view envelope_domain) const {
  for (auto& domain : from_domains)
    if (auto* found = choose(domain))
      return found;
  return choose(envelope_domain);
}

bool signer::applies(std::span<const std::string> from_domains, std::string_view envelope_domain) const {
  return choose(from_domains, envelope_domain) != nullptr;
}

struct message_digest::state {
  rope front; // until the header is whole
  std::optional<header_fields> header;
  body_hasher hasher;
  bool too_long = false;

  void hash(const rope& part, std::size_t skip) {
    for (auto& piece : part.parts()) {
      auto skipped = std::min(skip, piece.size());
      skip -= skipped;
      hasher.update(piece.view().substr(skipped));
    }
  }
  void look_for_header(bool at_end) {
    auto found = header_fields::of(front, header_size_max);
    too_long = !found;
    if (too_long) {
      front = {};
    } else if (found->complete() || at_end) {
      hash(front, found->body_offset());
      front = {};
      header = std::move(found);
    }
  }
};

message_digest::message_digest() : state_{std::make_unique<state>()} {}
message_digest::message_digest(message_digest&&) noexcept = default;
message_digest& message_digest::operator=(message_digest&&) noexcept = default;
message_digest::~message_digest() = default;

void message_digest::add(const rope& part) {
  if (state_->too_long)
    return;
  if (state_->header) {
    state_->hash(part, 0);
    return;
  }
  state_->front.append(part);
  state_->look_for_header(false);
}

result<std::string> signer::sign(const rope& message, std::span<const std::string> from_domains,
                                 std::string_view envelope_domain, wall_time now) const {
  if (!applies(from_domains, envelope_domain))
    return std::string{};
  try {
    message_digest whole;
    whole.add(message);
    return sign(std::move(whole), from_domains, envelope_domain, now);
  } catch (const std::exception& failure) {
    return std::unexpected{error{HEDWIG_E_INTERNAL, fmt::format("signing failed: {}", failure.what()), {}}};
  }
}

result<std::string> signer::sign(message_digest message, std::span<const std::string> from_domains,
                                 std::string_view envelope_domain, wall_time now) const {
  auto* by = choose(from_domains, envelope_domain);
  if (by == nullptr)
    return std::string{};
  auto& read = *message.state_;
  try {
    if (!read.header && !read.too_long)
      read.look_for_header(true);
    if (read.too_long)
      return std::unexpected{error{HEDWIG_E_INVALID, fmt::format("header longer than {} bytes", header_size_max), {}}};
    if (read.header->named("from").empty())
      return std::unexpected{error{HEDWIG_E_INVALID, "no From field to sign", {}}};
    auto digest = read.hasher.digest();
    std::string fields;
    for (std::size_t i = 0; i < std::min(by->size(), signatures_max); ++i) {
      auto field = signature_field(settings_[(*by)[i]], *read.header, digest, now);
      if (!field)
        return field;
      fields += *field;
    }
    return fields;
  } catch (const std::exception& failure) {
    return std::unexpected{error{HEDWIG_E_INTERNAL, fmt::format("signing failed: {}", failure.what()), {}}};
  }
}

} // namespace hedwig::dkim
