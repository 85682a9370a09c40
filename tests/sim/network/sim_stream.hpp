// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/sim/network/sim_loop.hpp"

namespace hedwig::sim {

class sim_stream;

/// What both ends of a connection share.
struct link {
  std::size_t window = 0;
  std::uint64_t carried = 0;
  std::optional<std::uint64_t> cut_at; // bytes carried
  bool slow = false;
  bool silent = false; // nothing passes any more
  bool tls_done = false;
};

/// One end of a connection; the world owns it. Mirrors the behaviour that stream promises: its owner is called in steps
/// only.
class endpoint final : public entity {
public:
  enum class phase : std::uint8_t { connecting, waiting, open, closing, finishing, over };

  endpoint(sim_world& world, phase at, const net::address& local, const net::address& peer);

  void step() override;
  [[nodiscard]] sim_loop* on_loop() noexcept override { return loop_; }
  /// Looks again at what may happen next.
  void update();

  void attempt_later(sim_loop& on, net::stream_handler& handler, std::chrono::nanoseconds timeout);
  void adopt(sim_loop& on, net::stream_handler& handler);
  void set_handle(sim_stream* handle) noexcept { handle_ = handle; }

  void write(std::string_view text, bool copied);
  [[nodiscard]] std::size_t pending() const noexcept { return out_.size(); }
  [[nodiscard]] bool writable() const noexcept;
  void set_paused(bool paused);
  [[nodiscard]] bool paused() const noexcept { return paused_; }
  void start_tls(net::tls_role role, std::string_view server_name);
  [[nodiscard]] const net::tls_info* tls() const noexcept { return tls_up_ ? &tls_ : nullptr; }
  void close();
  void abort();
  /// The handle, or the connection that nobody adopted, goes away.
  void leave();
  /// Sends what one attempt takes, then FIN; of a connection that nobody adopted.
  void refuse(std::string_view text);
  /// The network breaks the connection for this end.
  void receive_reset();
  void forget_loop();

  [[nodiscard]] const net::address& local() const noexcept { return local_; }
  [[nodiscard]] const net::address& peer_address() const noexcept { return peer_address_; }
  [[nodiscard]] phase at() const noexcept { return phase_; }

private:
  friend class sim_world;
  friend class sim_acceptor;
  enum class move : std::uint8_t { report, attempt, reset, drained, tls_up, tls_broken, reoffer, deliver, fin, finish };
  struct moves {
    move list[8];
    std::size_t count = 0;
    void add(move what) noexcept { list[count++] = what; }
  };

  [[nodiscard]] moves possible() const noexcept;
  void add_tls_moves(moves& out) const noexcept;
  [[nodiscard]] bool reads() const noexcept;
  [[nodiscard]] bool accepts_output() const noexcept;
  [[nodiscard]] bool live() const noexcept { return phase_ == phase::open && handler_ != nullptr && !report_due_; }
  void take(move what);

  void attempt();
  void make_link();
  void deliver();
  void offer(std::string data);
  void tls_up();
  void cut();
  void lose_in_flight();

  void transfer();
  void after_transfer();
  void begin_close(std::chrono::nanoseconds linger);
  void finish(std::optional<error> reason, bool with_reset);
  void report_later(std::optional<error> reason);
  void report();
  void on_deadline();
  void arm_deadline(std::chrono::nanoseconds delay);
  [[nodiscard]] error failure(hedwig_status status, int os_errno, std::string_view what) const;

  sim_world& world_;
  std::uint64_t id_;
  phase phase_;
  sim_loop* loop_ = nullptr; // null while waiting to be adopted
  endpoint* peer_ = nullptr;
  std::shared_ptr<link> link_;
  sim_acceptor* backlog_ = nullptr; // that it waits in
  net::stream_handler* handler_ = nullptr;
  sim_stream* handle_ = nullptr;
  net::address local_;
  net::address peer_address_;
  std::string in_;  // under way to us
  std::string out_; // not yet under way
  std::string leftover_;
  std::size_t clear_out_ = 0;      // of out_, written before start_tls()
  std::size_t referenced_out_ = 0; // of out_, written by reference
  bool unanswered_ = false;
  bool paused_ = false;
  bool choked_ = false;
  bool reoffer_ = false;
  bool unwritable_ = false;
  bool drained_due_ = false;
  bool resting_ = false; // a slow connection between two deliveries
  bool fin_in_ = false;
  bool end_told_ = false;
  bool reset_in_ = false;
  bool report_due_ = false;
  bool tls_started_ = false;
  bool tls_up_ = false;
  std::size_t index_ = 0; // in the world's list
  net::tls_info tls_;
  std::optional<error> reason_;
  std::unique_ptr<net::timer> deadline_;
  std::unique_ptr<net::timer> rest_;
};

class sim_stream final : public net::stream {
public:
  explicit sim_stream(endpoint& end) : end_{&end}, peer_{end.peer_address()}, local_{end.local()} {
    end.set_handle(this);
  }
  ~sim_stream() override {
    if (end_ != nullptr)
      end_->leave();
  }
  void write(std::string_view text) override {
    if (end_ != nullptr)
      end_->write(text, true);
  }
  void write(slice part) override {
    if (end_ != nullptr)
      end_->write(part.view(), false);
  }
  void write(const rope& text) override {
    for (auto& part : text.parts())
      write(part);
  }
  void flush() override {}
  [[nodiscard]] std::size_t pending_output() const noexcept override { return end_ != nullptr ? end_->pending() : 0; }
  [[nodiscard]] bool writable() const noexcept override { return end_ != nullptr && end_->writable(); }
  void pause_reading() override {
    if (end_ != nullptr)
      end_->set_paused(true);
  }
  void resume_reading() override {
    if (end_ != nullptr)
      end_->set_paused(false);
  }
  [[nodiscard]] bool reading_paused() const noexcept override { return end_ != nullptr && end_->paused(); }
  /// The context is not looked at, and may be null.
  void start_tls(std::shared_ptr<const net::tls_context>, net::tls_role role, std::string_view server_name) override {
    if (end_ != nullptr)
      end_->start_tls(role, server_name);
  }
  [[nodiscard]] const net::tls_info* tls() const noexcept override { return end_ != nullptr ? end_->tls() : nullptr; }
  void close() override {
    if (end_ != nullptr)
      end_->close();
  }
  void abort() override {
    if (end_ != nullptr)
      end_->abort();
  }
  [[nodiscard]] const net::address& peer() const noexcept override { return peer_; }
  [[nodiscard]] net::address local() const override { return local_; }
  void forget() noexcept { end_ = nullptr; }

private:
  endpoint* end_; // null once the stream is over and reported
  net::address peer_;
  net::address local_;
};

class sim_connection final : public net::connection {
public:
  explicit sim_connection(endpoint& end) : end_{&end}, peer_{end.peer_address()}, local_{end.local()} {}
  ~sim_connection() override {
    if (end_ != nullptr)
      end_->leave();
  }
  [[nodiscard]] const net::address& peer() const noexcept override { return peer_; }
  [[nodiscard]] const net::address& local() const noexcept override { return local_; }
  void refuse(std::string_view text) override;
  [[nodiscard]] endpoint& take() noexcept { return *std::exchange(end_, nullptr); }

private:
  endpoint* end_;
  net::address peer_;
  net::address local_;
};

} // namespace hedwig::sim
