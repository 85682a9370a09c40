// SPDX-License-Identifier: Apache-2.0
#include "admin/client.hpp"

#include "admin/terminal_text.hpp"

#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/Net/NetException.h>
#include <Poco/Net/StreamSocket.h>
#include <Poco/Net/StreamSocketImpl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <istream>

namespace hedwig::admin {

namespace {

/// Longer than the relay waits for its own parts, so that it is the relay that says what hangs.
constexpr auto patience_seconds = 20;

bool is_socket(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode);
}

std::string why_not_connected(const std::string& path, int fault) {
  auto at = escaped(path);
  switch (fault) {
  case ENOENT:
    return "no socket at " + at +
           ": is the relay running, and is this its admin.socket? (--socket, HEDWIG_ADMIN_SOCKET)";
  case EACCES:
  case EPERM:
    return "no permission for " + at + ": run as root, as the relay's user, or as a member of the socket's group";
  case ECONNREFUSED:
    if (!is_socket(path))
      return at + " is no socket: name the relay's admin.socket (--socket, HEDWIG_ADMIN_SOCKET)";
    return "nobody listens at " + at + ": the relay was killed and has not been started again";
  case EAGAIN:
    return "too many wait at " + at + ": try again, or raise admin.max_connections";
  default:
    return "cannot connect to " + at + ": " + std::strerror(fault);
  }
}

// By hand, since the library's exceptions leave out which errno it was.
std::expected<Poco::Net::StreamSocket, std::string> connect_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return std::unexpected{"the path of a Unix socket has 1 to 107 octets: " + escaped(path)};
  std::memcpy(address.sun_path, path.data(), path.size());
  auto handle = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (handle < 0)
    return std::unexpected{std::string{"no socket: "} + std::strerror(errno)};
  if (::connect(handle, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    auto fault = errno;
    ::close(handle);
    return std::unexpected{why_not_connected(path, fault)};
  }
  return Poco::Net::StreamSocket{new Poco::Net::StreamSocketImpl{handle}};
}

std::expected<api_reply, std::string> talk(Poco::Net::HTTPClientSession& session, const std::string& method,
                                           const std::string& target, const std::string& host) {
  session.setTimeout(Poco::Timespan{patience_seconds, 0});
  Poco::Net::HTTPRequest request{method, target, Poco::Net::HTTPMessage::HTTP_1_1};
  request.setHost(host);
  request.setKeepAlive(false);
  request.setContentLength(0);
  session.sendRequest(request);
  Poco::Net::HTTPResponse response;
  auto& in = session.receiveResponse(response);
  api_reply reply{.status = response.getStatus(), .body = {}};
  std::array<char, 16384> piece{};
  while (in.read(piece.data(), piece.size()), in.gcount() > 0) {
    reply.body.append(piece.data(), static_cast<std::size_t>(in.gcount()));
    if (reply.body.size() > reply_size_max)
      return std::unexpected{"the answer is larger than 64 MiB: ask for less with --limit"};
  }
  return reply;
}

} // namespace

std::expected<api_reply, std::string> ask(const api_place& place, const std::string& method,
                                          const std::string& target) {
  try {
    if (!place.host.empty()) {
      Poco::Net::HTTPClientSession session{place.host, place.port};
      return talk(session, method, target, place.host);
    }
    auto socket = connect_unix(place.socket);
    if (!socket)
      return std::unexpected{std::move(socket.error())};
    Poco::Net::HTTPClientSession session{*socket};
    return talk(session, method, target, "localhost");
  } catch (const Poco::TimeoutException&) {
    return std::unexpected{std::string{"the relay did not answer in time: it hangs, or its machine is overloaded"}};
  } catch (const Poco::Exception& e) {
    auto where = place.host.empty() ? place.socket : place.host + ":" + std::to_string(place.port);
    return std::unexpected{"talking to " + escaped(where) + " failed: " + escaped(e.displayText())};
  }
}

} // namespace hedwig::admin
