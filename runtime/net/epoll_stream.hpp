// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/net/epoll_loop.hpp"
#include "runtime/net/output_queue.hpp"
#include "runtime/net/tls_session.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace hedwig::net {

class epoll_stream;

/// The socket of a stream and what is on its way: owned by the loop, so that it may outlive its owner's handle while it
/// lingers. It calls the handler from events, timers and attend() only, never from within the owner's calls.
class stream_core final : public event_sink {
public:
  stream_core(epoll_loop& on, descriptor socket, const address& peer, stream_handler& handler, bool connecting);
  ~stream_core() override;

  void start(std::chrono::nanoseconds connect_timeout);
  void on_events(std::uint32_t events) override;
  void on_loop_end() noexcept override;
  [[nodiscard]] bool listed() const noexcept override { return attention_listed_; }
  /// What came up since the last time: reports, leftover to offer, TLS steps.
  void attend();
  void flush_listed();

  // For the handle.
  void write(std::string_view text);
  void write(slice part);
  void send_output();
  [[nodiscard]] std::size_t pending_output() const noexcept;
  [[nodiscard]] bool writable() const noexcept;
  void set_paused(bool paused);
  [[nodiscard]] bool paused() const noexcept { return paused_; }
  void start_tls(std::shared_ptr<const tls_context> context, tls_role role, std::string_view server_name);
  void start_tls_behind(std::shared_ptr<const tls_context> context);
  [[nodiscard]] const tls_info* tls() const noexcept { return tls_ && tls_->up ? &tls_->info : nullptr; }
  [[nodiscard]] std::string channel_binding(std::string_view type) const {
    return tls() == nullptr ? std::string{} : tls_->session.channel_binding(type);
  }
  void close();
  void abort();
  /// The handle goes away.
  void leave();
  [[nodiscard]] address local() const noexcept { return local_address(socket_.get()); }
  void set_handle(epoll_stream* handle) noexcept { handle_ = handle; }

private:
  /// `closing`: output is still to be sent; `finishing`: FIN is sent, the peer's is awaited; `over`: no socket.
  enum class phase : std::uint8_t { connecting, open, closing, finishing, over };

  struct tls_part {
    tls_part(std::shared_ptr<const tls_context> context, std::string_view server_name, std::string cache_key,
             output_queue& wire)
      : session{std::move(context), server_name, std::move(cache_key), wire} {}
    tls_session session;
    output_queue clear; // not yet encrypted
    tls_info info;
    std::unique_ptr<handshake_gate::pass> pass; // of a handshake that has begun, where one is needed
    std::shared_ptr<stream_core*> waits;        // for its turn; null inside once that is not so any more
    bool up = false;
    bool goodbye_said = false;
    bool takes_rest = false; // of the clear text being offered

    void leave_line() {
      pass.reset();
      if (waits)
        *std::exchange(waits, nullptr) = nullptr;
    }
    [[nodiscard]] bool stands_in_line() const noexcept { return pass && !pass->running(); }
  };

  [[nodiscard]] const stream_limits& limits() const noexcept { return loop_.options().limits; }
  [[nodiscard]] bool live() const noexcept { return phase_ == phase::open && handler_ != nullptr && !report_due_; }
  [[nodiscard]] bool handshaking() const noexcept { return tls_ && !tls_->up; }
  [[nodiscard]] bool may_offer() const noexcept;
  [[nodiscard]] bool wants_input() const noexcept;
  [[nodiscard]] bool accepts_output() const noexcept;
  [[nodiscard]] std::size_t copied_output() const noexcept;
  void update_interest();
  void want_attention();
  void mark_dirty();

  void finish_connect();
  void receive();
  void receive_clear();
  void receive_tls();
  void discard_input();
  [[nodiscard]] std::size_t read_socket(char* into, std::size_t size);
  void on_fin();
  void offer(std::string_view data);
  void offer_leftover();
  void process_tls();
  [[nodiscard]] bool may_shake_hands();
  [[nodiscard]] bool continue_handshake();
  void decrypt();
  void tls_failed();

  void after_write();
  void encrypt();
  [[nodiscard]] bool send_some();
  void output_failed(int status);
  void after_output();
  void hear_last_words();

  void abort_with(std::optional<error> reason);
  void begin_close(std::chrono::nanoseconds linger);
  void finish(std::optional<error> reason);
  void report_later(std::optional<error> reason);
  void report();
  void on_deadline();
  void arm_deadline(std::chrono::nanoseconds delay);
  [[nodiscard]] error failure(int status, std::string_view what) const;

  descriptor socket_;
  phase phase_;
  bool paused_ = false;
  bool choked_ = false;  // the peer does not take our output, so we take no input
  bool blocked_ = false; // the kernel takes no output
  bool eof_ = false;     // the peer's FIN, or close_notify
  bool unwritable_ = false;
  bool drained_due_ = false;
  bool reoffer_ = false;
  bool report_due_ = false;
  bool attention_listed_ = false;
  bool flush_listed_ = false;
  int write_status_ = 0; // errno of a send that failed for good
  std::uint32_t interest_ = 0;
  stream_handler* handler_; // null once the owner has gone or heard the end
  epoll_stream* handle_ = nullptr;
  address peer_;
  output_queue wire_;
  std::string leftover_; // clear input that the handler did not consume
  std::unique_ptr<tls_part> tls_;
  std::unique_ptr<timer> deadline_; // of connecting or lingering
  std::optional<error> reason_;
};

/// What the owner of a stream holds.
class epoll_stream final : public stream {
public:
  [[nodiscard]] static std::unique_ptr<stream> open(epoll_loop& on, descriptor socket, const address& peer,
                                                    const address& local, stream_handler& handler);
  [[nodiscard]] static std::unique_ptr<stream> connecting(epoll_loop& on, descriptor socket, const address& to,
                                                          const std::optional<address>& source, stream_handler& handler,
                                                          const connect_options& options);
  ~epoll_stream() override;

  void write(std::string_view text) override;
  void write(slice part) override;
  void write(const rope& text) override;
  void flush() override;
  [[nodiscard]] std::size_t pending_output() const noexcept override;
  [[nodiscard]] bool writable() const noexcept override;
  void pause_reading() override;
  void resume_reading() override;
  [[nodiscard]] bool reading_paused() const noexcept override;
  void start_tls(std::shared_ptr<const tls_context> context, tls_role role, std::string_view server_name) override;
  void start_tls_behind(std::shared_ptr<const tls_context> context) override;
  [[nodiscard]] const tls_info* tls() const noexcept override;
  [[nodiscard]] std::string channel_binding(std::string_view type) const override;
  void close() override;
  void abort() override;
  [[nodiscard]] const address& peer() const noexcept override { return peer_; }
  [[nodiscard]] address local() const override { return local_; }

  void forget_core() noexcept { core_ = nullptr; }
  void set_local(const address& local) noexcept { local_ = local; }

private:
  epoll_stream(epoll_loop& on, stream_core& core, const address& peer, const address& local);

  epoll_loop& loop_;
  stream_core* core_; // null once the stream is over and reported
  address peer_;
  address local_;
};

} // namespace hedwig::net
