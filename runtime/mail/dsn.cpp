// SPDX-License-Identifier: Apache-2.0
#include "runtime/mail/dsn.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/base/ascii.hpp"
#include "runtime/mail/address.hpp"
#include "runtime/mail/date.hpp"
#include "runtime/mail/dsn_advice.hpp"
#include "runtime/mail/dsn_text.hpp"

namespace hedwig::mail {
namespace {

constexpr std::string_view crlf = "\r\n";
constexpr std::size_t wrap_at = 74;
constexpr std::size_t broken_word_max = 900;
constexpr std::size_t address_max = 512;
constexpr std::size_t host_max = 255;
constexpr std::size_t text_max = 1000;
constexpr std::size_t envelope_id_max = 100; // RFC 3461 4.4
constexpr std::size_t message_id_max = 900;
constexpr std::size_t header_line_max = 900;
constexpr std::size_t line_max = 998; // RFC 5322 2.1.1
constexpr std::string_view default_boundary = "=_report_";

// ---- input made safe

bool is_status(std::string_view text) {
  const auto dots = std::count(text.begin(), text.end(), '.');
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return ascii::is_digit(c) || c == '.'; });
  return plain && dots == 2 && text.size() >= 5 && text.size() <= 9 && text[1] == '.' && text.back() != '.' &&
         text.find("..") == std::string_view::npos && (text[0] == '2' || text[0] == '4' || text[0] == '5');
}

/// The lower-case hex digits do not count: xtext has upper-case ones only (RFC 3461 section 4).
int hex_value(char c) {
  if (ascii::is_digit(c))
    return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::string decode_xtext(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool coded =
        text[i] == '+' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0;
    out += coded ? static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])) : text[i];
    i += coded ? 2 : 0;
  }
  return out;
}

dsn_recipient made_safe(const dsn_recipient& raw, dsn_kind kind) {
  dsn_recipient safe = raw;
  safe.final_recipient = sanitise_peer_text(raw.final_recipient, address_max);
  safe.original_recipient =
      sanitise_peer_text(decode_xtext(raw.original_recipient.substr(0, 3 * address_max)), address_max);
  safe.remote_mta = sanitise_peer_text(raw.remote_mta, host_max);
  safe.remote_ip = sanitise_peer_text(raw.remote_ip, host_max);
  safe.text = sanitise_peer_text(raw.text, text_max);
  if (!is_status(raw.status))
    safe.status = kind == dsn_kind::failure ? "5.0.0" : kind == dsn_kind::delay ? "4.0.0" : "2.0.0";
  return safe;
}

// ---- the original's header

struct original_header {
  std::string text;       ///< CRLF, bounded, safe
  std::string message_id; ///< "<...>", or empty
};

/// One line without its end; keeps what folds it.
std::string safe_header_line(std::string_view line) {
  const bool folded = line.starts_with(' ') || line.starts_with('\t');
  const std::string rest = sanitise_peer_text(line, header_line_max);
  return rest.empty() || !folded ? rest : line.front() + rest;
}

bool names_message_id(std::string_view line) {
  constexpr std::string_view name = "message-id";
  if (line.size() < name.size())
    return false;
  const bool same = std::equal(name.begin(), name.end(), line.begin(),
                               [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); });
  const std::size_t next = line.find_first_not_of(" \t", name.size());
  return same && next != std::string_view::npos && line[next] == ':';
}

/// The first "<...>" of plain characters in `text`.
std::string find_message_id(std::string_view text) {
  const std::size_t begin = text.find('<');
  const std::size_t end = text.find('>', begin == std::string_view::npos ? text.size() : begin);
  if (end == std::string_view::npos || end - begin > message_id_max)
    return {};
  const std::string_view id = text.substr(begin, end - begin + 1);
  const bool plain = std::all_of(id.begin(), id.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  return plain ? std::string{id} : std::string{};
}

/// Takes one line with its end off `text`; a line ends at LF, with or without CR.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r'))
    line.remove_suffix(1);
  return line;
}

original_header read_header(std::string_view text, std::size_t bytes_max) {
  original_header out;
  bool in_message_id = false;
  while (!text.empty()) {
    const std::string_view raw = take_line(text);
    if (raw.empty())
      break;
    const std::string line = safe_header_line(raw);
    if (line.empty())
      continue;
    if (line.front() != ' ' && line.front() != '\t')
      in_message_id = names_message_id(line);
    if (in_message_id && out.message_id.empty())
      out.message_id = find_message_id(line);
    if (out.text.size() + line.size() + crlf.size() > bytes_max)
      break;
    out.text += line;
    out.text += crlf;
  }
  return out;
}

/// Whether RFC 5322 section 2.1.1 and RFC 2045 section 2.8 let this stand in a report as it is.
bool is_carriable(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find("\r\n", at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (line.size() > line_max || line.find_first_of(std::string_view{"\0\r\n", 3}) != std::string_view::npos)
      return false;
    at = end + crlf.size();
  }
  return true;
}

bool returns_all(const dsn_report& report) {
  return report.kind == dsn_kind::failure && !report.original.empty() && is_carriable(report.original);
}

// ---- text for people

/// Wraps at spaces, each line after `indent` spaces; a word longer than a line may be is broken.
std::string wrapped(std::string_view text, std::size_t indent) {
  std::string out;
  std::size_t column = 0;
  while (!text.empty()) {
    std::size_t size = std::min({text.find(' '), text.size(), broken_word_max});
    while (size > 1 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U)
      --size;
    if (column != 0 && column + 1 + size > wrap_at) {
      out += crlf;
      column = 0;
    }
    out += column == 0 ? std::string(indent, ' ') : std::string{" "};
    column += (column == 0 ? indent : 1) + size;
    out += text.substr(0, size);
    text.remove_prefix(size);
    if (text.starts_with(' '))
      text.remove_prefix(1);
  }
  return out.empty() ? out : out + std::string{crlf};
}

std::string server_name(const dsn_recipient& r) {
  if (r.remote_mta.empty())
    return r.remote_ip;
  return r.remote_ip.empty() || r.remote_ip == r.remote_mta ? r.remote_mta
                                                            : fmt::format("{} ({})", r.remote_mta, r.remote_ip);
}

std::string what_happened(const dsn_recipient& r) {
  const std::string server = server_name(r);
  const std::string text = r.text.empty() ? std::string{"no reason is known"} : r.text;
  if (r.reply_code != 0)
    return fmt::format("The server {} answered: {} {} {}", server.empty() ? "there" : server, r.reply_code, r.status,
                       text);
  return server.empty() ? fmt::format("This relay found: {}", text)
                        : fmt::format("This relay found, with the server {}: {}", server, text);
}

std::string about_recipient(const dsn_recipient& r, dsn_kind kind) {
  const dsn_advice advice = advice_for(r.status);
  std::string out = wrapped("<" + r.final_recipient + ">", 2);
  out += wrapped(what_happened(r), 6);
  if (kind == dsn_kind::relayed)
    return out += crlf;
  out += wrapped(advice.meaning, 6);
  if (r.attempts > 1)
    out += wrapped(fmt::format("Tried {} times{}.", r.attempts, kind == dsn_kind::delay ? " so far" : ""), 6);
  if (kind == dsn_kind::failure)
    out += wrapped("What you can do: " + std::string{advice.action}, 6);
  else if (r.will_retry_until)
    out += wrapped("This relay keeps trying until " + date_text(*r.will_retry_until) + ".", 6);
  out += crlf;
  return out;
}

std::string opening(const dsn_report& report, std::string_view host) {
  const bool many = report.recipients.size() != 1;
  const std::string whom = many ? fmt::format("the {} recipients", report.recipients.size()) : "the recipient";
  std::string out = wrapped(fmt::format("This is the mail relay at {}.", host), 0);
  out += crlf;
  if (report.kind == dsn_kind::failure)
    out += wrapped(fmt::format("The message you sent, taken here on {}, could not be delivered to {} named below. The "
                               "relay has given up on {}: nothing more will happen unless you do something.",
                               date_text(report.arrival), whom, many ? "them" : "this address"),
                   0);
  else if (report.kind == dsn_kind::relayed)
    out += wrapped(fmt::format("The message you sent, taken here on {}, was handed over for {} named below to a server "
                               "that does not report deliveries. You asked to be told, and this is all you will hear "
                               "unless that server cannot deliver it.",
                               date_text(report.arrival), whom),
                   0);
  else
    out +=
        wrapped(fmt::format("The message you sent, taken here on {}, is not delivered yet to {} named below. The relay "
                            "keeps trying by itself: you need not do anything and should not send it again. You will "
                            "be told if it fails for good.",
                            date_text(report.arrival), whom),
                0);
  return out += crlf;
}

std::string human_part(const dsn_report& report, const std::vector<dsn_recipient>& listed, std::string_view host) {
  std::string out = opening(report, host);
  for (const dsn_recipient& r : listed)
    out += about_recipient(r, report.kind);
  if (listed.size() < report.recipients.size())
    out += wrapped(fmt::format("... and {} more that are not listed.", report.recipients.size() - listed.size()), 0) +
           std::string{crlf};
  if (!report.queue_id.empty())
    out += wrapped(fmt::format("For the postmaster: the message is {} in the log of {}.",
                               sanitise_peer_text(report.queue_id, host_max), host),
                   0);
  out += wrapped(fmt::format("Below are the details for programs and {}your message.",
                             returns_all(report) ? "" : "the header of "),
                 0);
  return out;
}

// ---- message/delivery-status

/// RFC 3464 2.1.2: "rfc822; address"; RFC 6533 section 3 for addresses outside ASCII.
std::string typed_address(std::string_view address) {
  return fmt::format("{}; {}", is_ascii(address) ? "rfc822" : "utf-8", address);
}

std::string diagnostic(const dsn_recipient& r, bool global) {
  const std::string text = global ? r.text : ascii_only(r.text);
  return r.reply_code != 0 ? fmt::format("smtp; {} {} {}", r.reply_code, r.status, text) : "X-Hedwig; " + text;
}

/// RFC 3464 section 2.3.3.
std::string_view action_of(dsn_kind kind) {
  return kind == dsn_kind::failure ? "failed" : kind == dsn_kind::delay ? "delayed" : "relayed";
}

std::string_view subject_of(dsn_kind kind) {
  switch (kind) {
  case dsn_kind::failure:
    return "Your message could not be delivered";
  case dsn_kind::delay:
    return "Your message is delayed";
  default:
    return "Your message was handed on";
  }
}

std::string recipient_fields(const dsn_recipient& r, dsn_kind kind, bool global) {
  std::string out{crlf};
  const std::string host = ascii_only(r.remote_mta.empty() ? r.remote_ip : r.remote_mta);
  const std::string original = global ? r.original_recipient : ascii_only(r.original_recipient);
  if (!original.empty() && original.find(';') != std::string::npos)
    out += folded_field("Original-Recipient", original);
  out += folded_field("Final-Recipient", typed_address(r.final_recipient));
  out += folded_field("Action", action_of(kind));
  out += folded_field("Status", r.status);
  if (!host.empty())
    out += folded_field("Remote-MTA", "dns; " + host);
  if (r.reply_code != 0 || !r.text.empty())
    out += folded_field("Diagnostic-Code", diagnostic(r, global));
  if (r.last_attempt)
    out += folded_field("Last-Attempt-Date", date_text(*r.last_attempt));
  if (kind == dsn_kind::delay && r.will_retry_until)
    out += folded_field("Will-Retry-Until", date_text(*r.will_retry_until));
  return out;
}

std::string status_part(const dsn_report& report, const std::vector<dsn_recipient>& listed, std::string_view host,
                        bool global) {
  std::string out;
  if (const std::string id = ascii_only(
          sanitise_peer_text(decode_xtext(report.envelope_id.substr(0, 3 * envelope_id_max)), envelope_id_max));
      !id.empty())
    out += folded_field("Original-Envelope-Id", id);
  out += folded_field("Reporting-MTA", fmt::format("dns; {}", host));
  out += folded_field("Arrival-Date", date_text(report.arrival));
  if (report.deliver_by)
    out += folded_field("Deliver-By-Date", date_text(*report.deliver_by));
  for (const dsn_recipient& r : listed)
    out += recipient_fields(r, report.kind, global);
  return out;
}

// ---- the whole

struct part {
  std::string_view type;
  std::string text;
};

std::string letters_and_digits(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 64))
    if (ascii::is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
      out += c;
  return out.empty() ? "0" : out;
}

/// RFC 2046 5.1.1: must not begin a line of any part. What a peer wrote could hold it only by guessing, or by us.
std::string boundary_for(std::string_view unique, const std::vector<part>& parts) {
  std::string boundary = std::string{default_boundary} + std::string{unique};
  const auto taken = [&boundary](const part& p) { return p.text.find(boundary) != std::string::npos; };
  for (int i = 0; i < 8 && std::any_of(parts.begin(), parts.end(), taken); ++i)
    boundary += static_cast<char>('A' + i);
  return boundary;
}

std::string main_header(const dsn_report& report, std::string_view host, std::string_view unique,
                        std::string_view message_id) {
  std::string from = ascii_only(sanitise_peer_text(report.from, address_max));
  if (from.empty())
    from = fmt::format("MAILER-DAEMON@{}", host);
  std::string out = folded_field("From", fmt::format("Mail Delivery System <{}>", from));
  out += folded_field("To", fmt::format("<{}>", sanitise_peer_text(report.sender, address_max)));
  out += folded_field("Subject", subject_of(report.kind));
  out += folded_field("Date", date_text(report.now));
  out += folded_field("Message-ID", fmt::format("<{}@{}>", unique, host));
  if (!message_id.empty()) {
    out += folded_field("In-Reply-To", message_id);
    out += folded_field("References", message_id);
  }
  out += folded_field("Auto-Submitted", "auto-replied"); // RFC 3834 section 5
  out += "MIME-Version: 1.0\r\n";
  return out;
}

std::string assemble(std::string head, const std::vector<part>& parts, std::string_view boundary, bool is_8bit) {
  head +=
      "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"" + std::string{boundary} + "\"\r\n";
  if (is_8bit)
    head += "Content-Transfer-Encoding: 8bit\r\n";
  head += "\r\nThis is a report in MIME format.\r\n";
  for (const part& p : parts) {
    head += fmt::format("\r\n--{}\r\nContent-Type: {}\r\n", boundary, p.type);
    if (!is_ascii(p.text))
      head += "Content-Transfer-Encoding: 8bit\r\n";
    head += crlf;
    head += p.text;
  }
  return head += fmt::format("\r\n--{}--\r\n", boundary);
}

} // namespace

dsn_message make_dsn(const dsn_report& report) {
  std::vector<dsn_recipient> listed;
  for (std::size_t i = 0; i < std::min(report.recipients.size(), report.recipients_max); ++i)
    listed.push_back(made_safe(report.recipients[i], report.kind));
  const bool global = std::any_of(listed.begin(), listed.end(), [](const dsn_recipient& r) {
    return !is_ascii(r.final_recipient) || !is_ascii(r.original_recipient);
  });
  std::string host = ascii_only(sanitise_peer_text(report.reporting_mta, host_max));
  host = host.empty() ? "localhost" : host;
  const std::string unique = letters_and_digits(report.unique);
  original_header original = read_header(report.original_headers, report.headers_max);

  std::string human = human_part(report, listed, host);
  const std::string_view human_type = is_ascii(human) ? "text/plain; charset=us-ascii" : "text/plain; charset=utf-8";
  const bool all = returns_all(report);
  // RFC 6532 section 3.7: message/global only for a header outside ASCII; an 8-bit body alone is no reason.
  const bool global_header = !is_ascii(original.text);
  const std::string_view original_type = all ? (global_header ? "message/global" : "message/rfc822")
                                             : (global_header ? "message/global-headers" : "text/rfc822-headers");
  std::vector<part> parts{{human_type, std::move(human)},
                          {global ? "message/global-delivery-status" : "message/delivery-status",
                           status_part(report, listed, host, global)},
                          {original_type, all ? std::string{report.original} : std::move(original.text)}};
  dsn_message out;
  out.needs_smtputf8 = !is_ascii(report.sender);
  out.is_8bit = std::any_of(parts.begin(), parts.end(), [](const part& p) { return !is_ascii(p.text); });
  out.text =
      assemble(main_header(report, host, unique, original.message_id), parts, boundary_for(unique, parts), out.is_8bit);
  out.is_8bit = out.is_8bit || out.needs_smtputf8;
  return out;
}

} // namespace hedwig::mail
