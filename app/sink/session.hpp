// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "app/sink/end_of_data.hpp"
#include "app/sink/message_store.hpp"
#include "app/sink/options.hpp"
#include "runtime/net/loop.hpp"
#include "runtime/smtp/sasl.hpp"

namespace hedwig::sink {

class session;

/// What a session reports and asks; the server implements it.
class session_owner {
public:
  virtual ~session_owner() = default;
  [[nodiscard]] virtual struct options& options() = 0;
  [[nodiscard]] virtual net::loop& loop() = 0;
  [[nodiscard]] virtual const std::shared_ptr<const net::tls_context>& tls() = 0;
  /// A whole message was taken (or refused at the end: reply_code says); its text may be moved away.
  virtual void on_message(received_message& message) = 0;
  virtual void on_recipient(bool accepted) = 0;
  virtual void on_drop() = 0;
  /// Bytes of the message that must be kept.
  [[nodiscard]] virtual std::size_t keep_max() const = 0;
  /// The connection is over; deletes the session.
  virtual void on_end_of(session& which) = 0;
};

/// One connection. It has a parser of its own, and not the relay's, since it must be able to misbehave. Thread: the
/// loop's.
class session final : public net::stream_handler {
public:
  session(session_owner& owner, std::unique_ptr<net::connection> accepted);

  [[nodiscard]] std::size_t on_data(std::string_view data) override;
  void on_tls(const net::tls_info& info) override;
  void on_end() override;
  void on_closed(std::optional<error> reason) override;

private:
  /// What happens when the delay is over.
  struct answer {
    stage where = stage::connect;
    int code = 0;
    std::string text; ///< whole lines, ready to send
    bool drop = false;
  };

  std::size_t take_command(std::string_view data);
  std::size_t take_text(std::string_view data);
  void command(std::string_view line);
  void ehlo(std::string_view rest, bool extended);
  void mail(std::string_view rest);
  void rcpt(std::string_view rest);
  void data();
  void auth(std::string_view rest);
  void auth_step(std::optional<std::string_view> response);
  void starttls();
  void end_of_message();
  void greet();

  void respond(stage where, int code, std::string_view text, std::string_view subject = {});
  void respond_lines(stage where, int code, std::string text, std::string_view subject);
  void carry_out(const answer& what);
  void after_reply(stage where, int code);
  void finish_message(int code);
  void drop();
  void say(int code, std::string_view text);
  void forget_transaction();
  void touch();
  void on_idle();

  session_owner& owner_;
  std::unique_ptr<net::stream> stream_;
  net::timer idle_;
  net::timer delay_;
  std::optional<answer> waiting_;
  std::unique_ptr<smtp::sasl_exchange> sasl_;
  end_of_data scanner_;
  received_message message_;
  std::string helo_;
  std::string pending_sender_;
  std::string pending_parameters_;
  std::string pending_recipient_;
  bool greeted_ = false;
  bool in_mail_ = false;
  bool in_data_ = false;
  bool body_drop_decided_ = false;
  bool tls_ = false;
  bool authenticated_ = false;
  bool handshaking_ = false; ///< clear text behind STARTTLS is for nobody
  bool ended_ = false;
  bool closing_ = false;
};

} // namespace hedwig::sink
