// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/buffer.hpp"
#include "runtime/base/clock.hpp"
#include "runtime/base/error.hpp"
#include "runtime/dkim/key.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hedwig::dkim {

/// Most signatures put on one message; further settings that fit are left out.
inline constexpr std::size_t signatures_max = 4;
/// Most bytes of a message's header section, and most fields named in `h=`; a message above is not signed.
inline constexpr std::size_t header_size_max = std::size_t{1} << 20;
inline constexpr std::size_t signed_fields_max = 512;

/// Fields signed by default as often as they occur and once more (over-signed), so that nobody adds another one.
[[nodiscard]] std::span<const std::string_view> default_oversigned_fields() noexcept;
/// Fields signed by default where they are (List-*, which mailing lists add): not over-signed.
[[nodiscard]] std::span<const std::string_view> default_signed_fields() noexcept;

/// One signing identity.
struct signer_settings {
  std::string domain;   ///< d=
  std::string selector; ///< s=
  signing_key key;
  /// Sender domains it signs for: "example.com", "*.example.com" (subdomains only), "*". Empty: `domain` alone.
  std::vector<std::string> applies_to;
  /// Names to over-sign, instead of both default lists. "From" is always among them (RFC 6376, section 5.4).
  std::vector<std::string> fields;
  /// x= minus t=. Zero: no x=. A week outlives the queue of the next hop and still bounds a replay.
  std::chrono::seconds expiry = std::chrono::hours{7 * 24};
};

/// What a signature needs of a message, which may come in parts: its header and the hash of its body. Its size does not
/// grow with that of the message. One thread at a time.
class message_digest {
public:
  message_digest();
  message_digest(message_digest&&) noexcept;
  message_digest& operator=(message_digest&&) noexcept;
  ~message_digest();

  /// The next part (header, empty line, body; CRLF line ends), cut anywhere. Throws where the crypto library fails.
  void add(const rope& part);

private:
  friend class signer;
  struct state;
  std::unique_ptr<state> state_;
};

/// Signs messages with relaxed/relaxed, without l= (whoever appends to a message breaks its signature).
/// Immutable once made: any number of threads may use one at once; a reload makes a new one.
class signer {
public:
  /// Signs nothing.
  signer() = default;
  /// HEDWIG_E_CONFIG naming the setting when a domain, selector, pattern or field name is malformed.
  [[nodiscard]] static result<signer> make(std::vector<signer_settings> settings);

  [[nodiscard]] bool empty() const noexcept { return settings_.empty(); }

  /// Whether sign() would add something for this sender.
  [[nodiscard]] bool applies(std::span<const std::string> from_domains, std::string_view envelope_domain) const;

  /// The DKIM-Signature fields to put in front of `message` (header, empty line, body; CRLF line ends), each ending in
  /// CRLF; empty when no setting fits. The key is chosen by the domains of header From in their order, and only when
  /// none of these has one by `envelope_domain`, that of the reverse-path (all lower case). The closest pattern wins:
  /// exact, then the longest "*.", then "*"; all settings that share it sign. The body is hashed once. Time is linear
  /// in the size of the message. HEDWIG_E_INVALID when the message exceeds a limit above or has no From,
  /// HEDWIG_E_INTERNAL when the crypto library fails.
  [[nodiscard]] result<std::string> sign(const rope& message, std::span<const std::string> from_domains,
                                         std::string_view envelope_domain, wall_time now) const;
  /// The same for a message that was read in parts, all of which are in `message`.
  [[nodiscard]] result<std::string> sign(message_digest message, std::span<const std::string> from_domains,
                                         std::string_view envelope_domain, wall_time now) const;

private:
  using chosen = std::vector<std::size_t>; // indices into settings_
  using index = std::unordered_map<std::string, chosen>;

  [[nodiscard]] const chosen* choose(std::string_view domain) const;
  [[nodiscard]] const chosen* choose(std::span<const std::string> from_domains, std::string_view envelope_domain) const;

  std::vector<signer_settings> settings_;
  index exact_;
  index suffixes_; // "example.com" of "*.example.com"
  chosen star_;
};

} // namespace hedwig::dkim
