// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "app/sink/session.hpp"

namespace hedwig::sink {

struct totals {
  std::uint64_t connections = 0;
  std::uint64_t connections_refused = 0;
  std::uint64_t messages = 0;         ///< taken: 2yz at the end, or the reply dropped
  std::uint64_t messages_refused = 0; ///< 4yz or 5yz at the end
  std::uint64_t replies_dropped = 0;  ///< messages taken whose reply was dropped
  std::uint64_t recipients = 0;       ///< of messages taken
  std::uint64_t recipients_refused = 0;
  std::uint64_t bytes = 0; ///< of messages taken
  std::uint64_t drops = 0; ///< connections closed by --drop
  std::uint64_t bare_line_ends = 0;
};

/// Listeners, sessions and totals. Thread: the loop's.
class server final : public session_owner, public net::acceptor_handler {
public:
  server(struct options& o, net::loop& l, std::shared_ptr<const net::tls_context> tls,
         std::optional<message_store> store);

  /// Begins to listen on every address.
  [[nodiscard]] result<void> listen();
  /// "127.0.0.1:2600", with the ports that the kernel chose.
  [[nodiscard]] std::vector<std::string> addresses() const;
  [[nodiscard]] const totals& counted() const noexcept { return totals_; }

  void on_connection(std::unique_ptr<net::connection> accepted) override;

  [[nodiscard]] struct options& options() override { return options_; }
  [[nodiscard]] net::loop& loop() override { return loop_; }
  [[nodiscard]] const std::shared_ptr<const net::tls_context>& tls() override { return tls_; }
  void on_message(received_message& message) override;
  void on_recipient(bool accepted) override;
  void on_drop() override { ++totals_.drops; }
  [[nodiscard]] std::size_t keep_max() const override { return keep_max_; }
  void on_end_of(session& which) override;

private:
  void count(const received_message& message);
  void begin_to_end();

  struct options& options_;
  net::loop& loop_;
  std::shared_ptr<const net::tls_context> tls_;
  std::optional<message_store> store_;
  std::size_t keep_max_;
  std::vector<std::unique_ptr<net::acceptor>> acceptors_;
  std::unordered_map<const session*, std::unique_ptr<session>> sessions_;
  totals totals_;
  net::timer last_chance_;
  bool ending_ = false;
};

[[nodiscard]] std::string summary_text(const totals& t);
[[nodiscard]] std::string summary_json(const totals& t);

} // namespace hedwig::sink
