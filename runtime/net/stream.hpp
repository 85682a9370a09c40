// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/buffer.hpp"
#include "runtime/base/clock.hpp"
#include "runtime/base/error.hpp"
#include "runtime/net/address.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hedwig::net {

class tls_context;

enum class tls_role : std::uint8_t { server, client };

/// What a finished handshake agreed on. Texts are printable ASCII of bounded length, fit for a log.
struct tls_info {
  tls_role role = tls_role::server;
  /// "TLSv1.2", "TLSv1.3".
  std::string version;
  /// "TLS_AES_256_GCM_SHA384".
  std::string cipher;
  int cipher_bits = 0;
  /// A session of an earlier connection was taken up.
  bool resumed = false;
  /// The peer showed a certificate of a trusted authority, for a client role also one for the server's name, for a
  /// server role perhaps one that is known by its fingerprint instead.
  bool peer_verified = false;
  /// Why not, when it is not verified: "self-signed certificate"; empty when the peer showed none.
  std::string verify_error;
  /// Server role: the name the client asked for (SNI), or empty. Client role: the name given to start_tls().
  std::string server_name;
  /// The subject of the peer's certificate (RFC 4514), or empty.
  std::string peer_subject;
  /// SHA-256 of the peer's certificate in lower-case hex, or empty.
  std::string peer_fingerprint;
  /// Server role: mail addresses and DNS names (lower case) of subjectAltName in the client's certificate, as many as
  /// tls_session::peer_names_max; and its common name. Printable ASCII, what is not is left out.
  std::vector<std::string> peer_names;
  std::string peer_common_name;
  /// Server role: when the client's certificate runs out; the epoch where there is none.
  wall_time peer_expires{};
};

/// What a stream tells its owner: on the loop's thread, one call at a time, and never from within a call the owner
/// makes to the stream (such calls take effect first, and are reported in the same or the next iteration). Inside each
/// of these the owner may do anything to the stream, destroying it included. They must not throw.
class stream_handler {
public:
  virtual ~stream_handler() = default;
  /// The connection of loop::connect() is there (before the handshake, where TLS was started right away).
  virtual void on_connected() {}
  /// Bytes in order, TLS removed. Returns how many of them were consumed; the rest is kept and offered again, in front
  /// of what follows, with more data or after resume_reading(). `data` is gone when the call returns.
  [[nodiscard]] virtual std::size_t on_data(std::string_view data) = 0;
  /// start_tls() has finished; what comes now is protected.
  virtual void on_tls(const tls_info&) {}
  /// The peer sends no more (FIN or close_notify). What is written still goes out; close() when done.
  virtual void on_end() {}
  /// writable() had become false and is true again.
  virtual void on_drained() {}
  /// The stream is over; comes exactly once, and nothing after it. No error: closed or aborted by its owner, everything
  /// written before close() was handed to the peer's kernel. An error: refused, reset, timed out, handshake failed.
  virtual void on_closed(std::optional<error> reason) = 0;
};

/// A byte stream to one peer: a TCP connection, with TLS once asked for. Belongs to one owner and one loop and is used
/// on that loop's thread. What is written goes out at the end of the loop's iteration in one system call.
/// Destroying it after close() leaves the rest of the output to the loop, within the linger time; destroying it without
/// close() drops the connection and what was not yet sent, quietly. The owner hears nothing after either.
class stream {
public:
  virtual ~stream() = default;
  stream() = default;
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;

  /// Copies. Above stream_limits::output_max the stream stops reading until the peer has taken what is pending, and
  /// above output_refuse it gives up with HEDWIG_E_BUSY. Ignored once closed.
  virtual void write(std::string_view text) = 0;
  /// By reference: the bytes live until they are sent, and count neither for output_max nor for output_refuse.
  virtual void write(slice part) = 0;
  virtual void write(const rope& text) = 0;
  /// Sends now what can be sent, instead of at the end of the iteration.
  virtual void flush() = 0;
  /// Bytes written and not yet taken by the kernel, copied or not, protected or not.
  [[nodiscard]] virtual std::size_t pending_output() const noexcept = 0;
  /// pending_output() is under stream_limits::low_water. A producer of much data goes on while this holds, then waits
  /// for on_drained().
  [[nodiscard]] virtual bool writable() const noexcept = 0;

  /// No on_data() until resume_reading(); at most one read buffer of what the peer sends is kept, the rest waits in the
  /// kernels. A reset is still reported; the peer's FIN only once all before it was read.
  virtual void pause_reading() = 0;
  /// Offers what is kept, soon, even where nothing new came.
  virtual void resume_reading() = 0;
  [[nodiscard]] virtual bool reading_paused() const noexcept = 0;

  /// What was written so far goes out as it is, clear text that came behind what on_data() consumed is dropped (RFC
  /// 3207, section 4.2), and the handshake begins. Right after connect() or adopt(): implicit TLS. `server_name` is for
  /// the client role: SNI and the name to verify; empty or an IP address sends no SNI. What is written from now on
  /// waits for the handshake. Reading must not be paused. A second call is a broken invariant.
  virtual void start_tls(std::shared_ptr<const tls_context> context, tls_role role,
                         std::string_view server_name = {}) = 0;
  /// As start_tls() for the server role, from within on_data() only: but what came behind the octets that are consumed
  /// is not dropped; the handshake begins with it. For TLS from the start behind a PROXY header.
  virtual void start_tls_behind(std::shared_ptr<const tls_context> context) {
    start_tls(std::move(context), tls_role::server);
  }
  /// Null until on_tls().
  [[nodiscard]] virtual const tls_info* tls() const noexcept = 0;
  /// After on_tls(), server role: what ties a login to this TLS connection, by the type "tls-exporter" (RFC 9266; under
  /// TLS 1.3) or "tls-server-end-point" (RFC 5929). Empty for other types and where there is none.
  [[nodiscard]] virtual std::string channel_binding(std::string_view /*type*/) const { return {}; }

  /// Sends what is pending, then FIN, waits for the peer's (so that a reply is not lost to a reset) and closes; all
  /// within stream_limits::linger, then by reset. No on_data() any more; on_closed() at the end.
  virtual void close() = 0;
  /// Drops the connection and what is pending, by reset (RST).
  virtual void abort() = 0;

  [[nodiscard]] virtual const address& peer() const noexcept = 0;
  /// Our end; of a stream that is still connecting, only what was asked for.
  [[nodiscard]] virtual address local() const = 0;
};

/// A connection that was accepted and is on no loop yet. Owns its socket and may be moved to another thread, to the
/// loop that will adopt() it. Destroying it closes the connection.
class connection {
public:
  virtual ~connection() = default;
  connection() = default;
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  [[nodiscard]] virtual const address& peer() const noexcept = 0;
  [[nodiscard]] virtual const address& local() const noexcept = 0;
  /// Sends `text` as far as one attempt takes it ("421 too many connections\r\n") and closes; for a listener at its
  /// limit.
  virtual void refuse(std::string_view text) = 0;
  /// The peer has sent something already.
  [[nodiscard]] virtual bool has_input() const noexcept { return false; }
};

} // namespace hedwig::net
