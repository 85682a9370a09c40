// SPDX-License-Identifier: Apache-2.0
#include "app/sink/server.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>

namespace hedwig::sink {
namespace {

/// Enough of a message to find its Subject.
constexpr std::size_t header_kept = 16 * 1024;
/// How long clients have to say QUIT after the last message of --count.
constexpr std::chrono::seconds farewell{2};

std::size_t bytes_to_keep(const struct options& o) {
  if (!o.store_directory.empty())
    return SIZE_MAX;
  return o.print ? header_kept : 0;
}

} // namespace

server::server(struct options& o, net::loop& l, std::shared_ptr<const net::tls_context> tls,
               std::optional<message_store> store)
  : options_{o}, loop_{l}, tls_{std::move(tls)}, store_{std::move(store)}, keep_max_{bytes_to_keep(o)},
    last_chance_{l, [this] { loop_.stop(); }} {}

result<void> server::listen() {
  for (const net::address& at : options_.listen) {
    auto made = loop_.listen(at, {}, *this);
    if (!made)
      return std::unexpected{made.error()};
    acceptors_.push_back(std::move(*made));
  }
  return {};
}

std::vector<std::string> server::addresses() const {
  std::vector<std::string> out;
  for (const auto& at : acceptors_)
    out.push_back(at->local().text());
  return out;
}

void server::on_connection(std::unique_ptr<net::connection> accepted) {
  ++totals_.connections;
  if (sessions_.size() >= options_.connections_max) {
    ++totals_.connections_refused;
    return accepted->refuse("421 4.7.0 Too many connections\r\n");
  }
  auto made = std::make_unique<session>(*this, std::move(accepted));
  sessions_.emplace(made.get(), std::move(made));
}

void server::on_recipient(bool accepted) { totals_.recipients_refused += accepted ? 0 : 1; }

void server::on_message(received_message& message) {
  totals_.bare_line_ends += message.bare_line_ends;
  if (message.reply_code >= 300) {
    ++totals_.messages_refused;
    return;
  }
  count(message);
  if (options_.print)
    std::puts(print_line(message, totals_.messages).c_str());
  if (store_)
    if (const auto done = store_->write(message); !done)
      fmt::print(stderr, "hedwig-sink: {}\n", done.error().text());
  if (options_.count != 0 && totals_.messages >= options_.count && !ending_)
    begin_to_end();
}

void server::count(const received_message& message) {
  ++totals_.messages;
  totals_.replies_dropped += message.reply_code == 0 ? 1 : 0;
  totals_.recipients += message.recipients.size();
  totals_.bytes += message.size;
}

void server::begin_to_end() {
  ending_ = true;
  loop_.defer([this] { acceptors_.clear(); });
  last_chance_.start(farewell);
}

void server::on_end_of(session& which) {
  sessions_.erase(&which);
  if (ending_ && sessions_.empty())
    loop_.stop();
}

std::string summary_text(const totals& t) {
  return fmt::format(
      "connections {} (refused {})\nmessages {} (refused {}, reply dropped {})\nrecipients {} (refused {})\n"
      "bytes {}\ndrops {}\nbare line ends {}\n",
      t.connections, t.connections_refused, t.messages, t.messages_refused, t.replies_dropped, t.recipients,
      t.recipients_refused, t.bytes, t.drops, t.bare_line_ends);
}

std::string summary_json(const totals& t) {
  return fmt::format(R"({{"connections":{},"connections_refused":{},"messages":{},"messages_refused":{},)"
                     R"("replies_dropped":{},"recipients":{},"recipients_refused":{},"bytes":{},"drops":{},)"
                     R"("bare_line_ends":{}}})",
                     t.connections, t.connections_refused, t.messages, t.messages_refused, t.replies_dropped,
                     t.recipients, t.recipients_refused, t.bytes, t.drops, t.bare_line_ends);
}

} // namespace hedwig::sink
