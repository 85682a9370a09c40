// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "runtime/mail/address.hpp"
#include "runtime/mail/date.hpp"
#include "runtime/mail/header.hpp"

namespace hedwig::mail {

namespace {

// One text of a peer in a Received field; keeps its lines under 998 octets.
constexpr std::size_t peer_text_octets_max = 255;

// What cannot end a token, a comment or a line. Everything else of a host name, literal, protocol or cipher becomes
// "?".
bool is_plain(char c, bool smtputf8) noexcept {
  auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x80)
    return smtputf8;
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         std::string_view{"-._:[]+/="}.find(c) != std::string_view::npos;
}

void append_plain(std::string& out, std::string_view text, bool smtputf8 = false, bool spaces = false) {
  smtputf8 = smtputf8 && is_utf8(text) && text.size() <= peer_text_octets_max;
  for (char c : text.substr(0, peer_text_octets_max))
    out += is_plain(c, smtputf8) || (spaces && c == ' ') ? c : '?';
}

void append_from(std::string& out, const received_info& info) {
  if (info.helo.empty() && info.peer_ip.empty())
    return;
  out += "from ";
  append_plain(out, info.helo.empty() ? "unknown" : info.helo, info.smtputf8);
  if (!info.peer_ip.empty()) {
    out += " (";
    if (!info.peer_name.empty()) {
      append_plain(out, info.peer_name);
      out += ' ';
    }
    out += info.peer_ip.find(':') == std::string_view::npos ? "[" : "[IPv6:";
    append_plain(out, info.peer_ip);
    out += "])";
  }
  out += "\r\n\t";
}

void append_recipient(std::string& out, std::string_view recipient, bool smtputf8) {
  out += "\r\n\tfor <";
  smtputf8 = smtputf8 && is_utf8(recipient);
  for (char c : recipient.substr(0, address_octets_max)) {
    auto byte = static_cast<unsigned char>(c);
    out += byte < 32 || byte == 127 || (byte >= 128 && !smtputf8) ? '?' : c;
  }
  out += '>';
}

// Copies ranges of a rope in ascending order to another one, sharing the bytes.
class range_sharer {
public:
  range_sharer(const rope& from, rope& to) : parts_{from.parts()}, to_{to} {}

  void share(std::size_t begin, std::size_t end) {
    while (begin < end && part_ < parts_.size()) {
      auto& part = parts_[part_];
      if (begin >= part_begin_ + part.size()) {
        part_begin_ += part.size();
        ++part_;
        continue;
      }
      auto count = std::min(end, part_begin_ + part.size()) - begin;
      to_.append(part.sub(begin - part_begin_, count));
      begin += count;
    }
  }

private:
  std::span<const slice> parts_;
  rope& to_;
  std::size_t part_ = 0;
  std::size_t part_begin_ = 0;
};

address_list read_author(prepared& out, const header_field& field) {
  auto room = from_addresses_max - std::min(from_addresses_max, out.from_addresses.size());
  auto found = read_addresses(field.value, room);
  out.from_complete = out.from_complete && found.complete;
  return found;
}

void read_from(prepared& out, const header_field& field) {
  ++out.from_fields;
  for (auto& text : read_author(out, field).addresses) {
    auto key = address::parse(text).value_or(address{}).domain_key();
    if (std::ranges::find(out.from_domains, key) == out.from_domains.end())
      out.from_domains.push_back(std::move(key));
    out.from_addresses.push_back(std::move(text));
  }
}

void read_senders(prepared& out, const header_block& header) {
  for (auto& field : header.fields()) {
    if (!field.is("sender"))
      continue;
    ++out.senders_without_from;
    std::ranges::move(read_author(out, field).addresses, std::back_inserter(out.from_addresses));
  }
}

struct present {
  bool date = false;
  bool message_id = false;
  bool subject = false;
};

// Reads all that is wanted of the fields in one pass and shares those that stay.
present walk_fields(const header_block& header, const prepare_options& options, range_sharer& original, prepared& out) {
  present seen;
  std::size_t kept_from = 0;
  for (auto& field : header.fields()) {
    if (options.remove_bcc && (field.is("bcc") || field.is("resent-bcc"))) {
      original.share(kept_from, field.offset);
      kept_from = field.offset + field.size;
    } else if (field.is("from")) {
      read_from(out, field);
    } else if (field.is("received")) {
      ++out.received_fields;
    } else if (field.is("tls-required")) {
      out.tls_not_required = ascii::equal_ignoring_case(unfold(field.value), "no");
    } else if (field.is("subject") && !seen.subject) {
      seen.subject = true;
      out.subject = unfold(field.value, subject_octets_max);
    } else {
      seen.date |= field.is("date");
      seen.message_id |= field.is("message-id");
    }
  }
  original.share(kept_from, header.size());
  return seen;
}

// The last field of a binary message may lack its end.
bool ends_inside_line(const rope& fields) {
  std::string last;
  for (auto part = fields.parts().rbegin(); part != fields.parts().rend() && last.size() < 2; ++part)
    last = std::string{part->view().substr(part->size() - std::min<std::size_t>(2, part->size()))} + last;
  return !last.empty() && !last.ends_with("\r\n");
}

std::string added_fields(const received_info& received, const prepare_options& options, present seen) {
  auto text = received_field(received);
  if (options.add_missing && !seen.message_id) {
    text += "Message-ID: <";
    append_plain(text, received.id);
    text += '@';
    append_plain(text, options.message_id_domain.empty() ? received.by : options.message_id_domain);
    text += ">\r\n";
  }
  if (options.add_missing && !seen.date)
    text += "Date: " + date_text(received.when) + "\r\n";
  return text;
}

} // namespace

std::string received_field(const received_info& info) {
  std::string out;
  out.reserve(512);
  out += "Received: ";
  append_from(out, info);
  out += "by ";
  append_plain(out, info.by);
  out += " with ";
  append_plain(out, info.protocol.empty() ? "SMTP" : info.protocol);
  if (!info.tls.empty()) {
    out += " (";
    append_plain(out, info.tls, false, true);
    out += ')';
  }
  out += "\r\n\tid ";
  append_plain(out, info.id);
  if (!info.recipient.empty())
    append_recipient(out, info.recipient, info.smtputf8);
  if (info.priority)
    out += "\r\n\tpriority " + std::to_string(*info.priority);
  out += ";\r\n\t" + date_text(info.when) + "\r\n";
  return out;
}

std::expected<prepared, header_fault> prepare_header(const rope& message, const received_info& received,
                                                     const prepare_options& options) {
  auto header = header_block::parse(message);
  if (!header)
    return std::unexpected{header.error()};
  if (header->size() > options.header_max)
    return std::unexpected{header_fault::too_long};
  prepared out;
  rope rest;
  range_sharer original{message, rest};
  auto seen = walk_fields(*header, options, original, out);
  if (out.from_fields == 0)
    read_senders(out, *header);
  if (out.received_fields > options.received_max)
    return std::unexpected{header_fault::loop};
  // Where the sender forgot the empty line, what follows must still not read as header further on.
  if (!header->has_separator())
    rest.append_copy(ends_inside_line(rest) ? "\r\n\r\n" : "\r\n");
  original.share(header->size(), message.size());
  out.message.append_copy(added_fields(received, options, seen));
  out.message.append(rest);
  return out;
}

} // namespace hedwig::mail
