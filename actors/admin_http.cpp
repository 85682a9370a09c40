// SPDX-License-Identifier: Apache-2.0
#include "actors/admin_http.hpp"

#include "actors/admin_api.hpp"
#include "actors/console_json.hpp"
#include "runtime/telemetry/log.hpp"

#include <Poco/Net/HTTPRequestHandler.h>
#include <Poco/Net/HTTPRequestHandlerFactory.h>
#include <Poco/Net/HTTPServer.h>
#include <Poco/Net/HTTPServerParams.h>
#include <Poco/Net/HTTPServerRequest.h>
#include <Poco/Net/HTTPServerResponse.h>
#include <Poco/Net/NetException.h>
#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/ServerSocketImpl.h>
#include <Poco/Net/StreamSocketImpl.h>
#include <Poco/ThreadPool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <filesystem>

namespace hedwig {

namespace {

using Poco::Net::HTTPServerRequest;
using Poco::Net::HTTPServerResponse;

/// A request body beyond this is refused; no path has a use for one.
constexpr std::streamsize body_size_max = 64 * 1024;
/// What one connection may send over its whole life; it is closed then. Bounds the header of a request too.
constexpr std::uint64_t connection_bytes_max = 1024 * 1024;
constexpr int requests_max = 1000; ///< of one connection
constexpr int threads_min = 1;
constexpr int queue_max = 64; ///< connections that wait for a thread; more are closed
constexpr auto io_timeout_seconds = 10;
constexpr auto idle_timeout_seconds = 5; ///< an idle connection holds a thread
/// Octets of a path of a Unix socket, without the end mark.
constexpr std::size_t socket_path_max = sizeof(sockaddr_un::sun_path) - 1;

/// A connection that ends when its peer has said too much.
class bounded_socket final : public Poco::Net::StreamSocketImpl {
public:
  explicit bounded_socket(poco_socket_t handle) : StreamSocketImpl{handle} {}

  int receiveBytes(void* buffer, int length, int flags) override {
    if (received_ > connection_bytes_max)
      return 0; // as at the end of the stream
    auto got = StreamSocketImpl::receiveBytes(buffer, length, flags);
    received_ += got > 0 ? static_cast<std::uint64_t>(got) : 0;
    return got;
  }

private:
  std::uint64_t received_ = 0;
};

class bounded_listener final : public Poco::Net::ServerSocketImpl {
public:
  Poco::Net::SocketImpl* acceptConnection(Poco::Net::SocketAddress& peer) override {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    int handle = -1;
    do
      handle = ::accept4(sockfd(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_CLOEXEC);
    while (handle < 0 && errno == EINTR);
    if (handle < 0)
      throw Poco::Net::NetException{"accept", errno};
    peer = address.ss_family == AF_UNIX ? Poco::Net::SocketAddress{Poco::Net::AddressFamily::UNIX_LOCAL, "unix"}
                                        : Poco::Net::SocketAddress{reinterpret_cast<sockaddr*>(&address), size};
    return new bounded_socket{handle};
  }
};

/// Listens at `address` and makes bounded connections.
class bounded_server_socket final : public Poco::Net::ServerSocket {
public:
  explicit bounded_server_socket(const Poco::Net::SocketAddress& address) : ServerSocket{new bounded_listener, true} {
    bind(address, address.family() != Poco::Net::AddressFamily::UNIX_LOCAL);
    listen(queue_max);
  }
};

/// Reads the body and forgets it, so that the next request starts where it should. False when it is too large.
bool skip_body(HTTPServerRequest& request) {
  if (request.getContentLength64() > body_size_max)
    return false;
  std::array<char, 4096> piece{};
  std::streamsize total = 0;
  while (request.stream().good() && total <= body_size_max) {
    request.stream().read(piece.data(), piece.size());
    total += request.stream().gcount();
  }
  return total <= body_size_max;
}

/// Answers one request by the API.
class api_handler final : public Poco::Net::HTTPRequestHandler {
public:
  api_handler(admin_api& api, admin_scope scope) : api_{api}, scope_{scope} {}

  void handleRequest(HTTPServerRequest& request, HTTPServerResponse& response) override {
    auto has_body = request.getChunkedTransferEncoding() || request.hasContentLength();
    auto skipped = !has_body || skip_body(request);
    if (!skipped)
      response.setKeepAlive(false);
    auto answer = skipped ? answer_to(request) : refusal(413, "request too large");
    response.setStatusAndReason(static_cast<Poco::Net::HTTPResponse::HTTPStatus>(answer.status));
    response.setContentType(answer.content_type);
    response.setContentLength64(static_cast<Poco::Int64>(answer.body.size()));
    response.set("Cache-Control", "no-store");
    response.set("X-Content-Type-Options", "nosniff");
    if (!answer.allow.empty())
      response.set("Allow", answer.allow);
    auto& out = response.send();
    if (request.getMethod() != Poco::Net::HTTPRequest::HTTP_HEAD)
      out << answer.body;
  }

private:
  static admin_answer refusal(int status, std::string_view why) {
    return {.status = status, .body = console::failure(why)};
  }

  admin_answer answer_to(const HTTPServerRequest& request) {
    // A browser names the page that asks. No page has any business here, least of all one from elsewhere that makes the
    // operator's own browser ask.
    if (scope_ == admin_scope::admin && (request.has("Origin") || request.has("Sec-Fetch-Site")))
      return refusal(403, "this is for programs, not for web pages");
    try {
      return api_.answer(scope_, request.getMethod(), request.getURI());
    } catch (const std::exception& e) {
      telemetry::log(telemetry::level::error, telemetry::component::admin,
                     {"admin.failed", "a request of the console failed inside"}, {{"error", e.what()}});
      return refusal(500, "it failed inside: the log says more");
    }
  }

  admin_api& api_;
  admin_scope scope_;
};

class handler_factory final : public Poco::Net::HTTPRequestHandlerFactory {
public:
  handler_factory(admin_api& api, admin_scope scope) : api_{api}, scope_{scope} {}
  Poco::Net::HTTPRequestHandler* createRequestHandler(const HTTPServerRequest&) override {
    return new api_handler{api_, scope_};
  }

private:
  admin_api& api_;
  admin_scope scope_;
};

bool somebody_listens(const Poco::Net::SocketAddress& at) {
  try {
    Poco::Net::StreamSocket probe{at};
    return true;
  } catch (const Poco::Exception&) {
    return false;
  }
}

Poco::Net::ServerSocket listen_unix(const std::string& path, std::uint32_t mode) {
  if (path.size() > socket_path_max)
    throw std::runtime_error{"the path of a Unix socket has at most " + std::to_string(socket_path_max) + " octets"};
  std::filesystem::create_directories(std::filesystem::path{path}.parent_path());
  Poco::Net::SocketAddress at{Poco::Net::AddressFamily::UNIX_LOCAL, path};
  if (std::filesystem::is_socket(path)) {
    if (somebody_listens(at))
      throw std::runtime_error{"a relay that runs listens there: stop it, or write another admin.socket"};
    std::filesystem::remove(path); // left by a relay that was killed
  }
  auto before = ::umask(0177);
  bounded_server_socket socket{at};
  ::umask(before);
  if (::chmod(path.c_str(), mode) != 0)
    throw std::runtime_error{"its permissions cannot be set"};
  return socket;
}

} // namespace

class admin_http::server {
public:
  server(admin_api& api, admin_scope scope, const Poco::Net::ServerSocket& socket, std::uint32_t connections,
         std::string unix_path)
    : path_{std::move(unix_path)}, threads_{threads_min, static_cast<int>(std::max(2u, connections))},
      http_{new handler_factory{api, scope}, threads_, socket, params(connections)} {
    http_.start();
  }
  ~server() {
    http_.stopAll(true);
    threads_.joinAll();
    if (!path_.empty())
      ::unlink(path_.c_str());
  }

private:
  static Poco::Net::HTTPServerParams* params(std::uint32_t connections) {
    auto* made = new Poco::Net::HTTPServerParams;
    made->setMaxQueued(queue_max);
    made->setMaxThreads(static_cast<int>(std::max(2u, connections)));
    made->setTimeout(Poco::Timespan{io_timeout_seconds, 0});
    made->setKeepAlive(true);
    made->setKeepAliveTimeout(Poco::Timespan{idle_timeout_seconds, 0});
    made->setMaxKeepAliveRequests(requests_max);
    made->setServerName("hedwig");
    return made;
  }

  std::string path_;
  Poco::ThreadPool threads_;
  Poco::Net::HTTPServer http_;
};

admin_http::admin_http(relay_context& context, caf::actor_system&, caf::actor supervisor)
  : context_{context}, supervisor_{std::move(supervisor)}, api_{std::make_unique<admin_api>(context_, supervisor_)} {}

admin_http::~admin_http() { close(); }

void admin_http::close() { servers_.clear(); }

result<void> admin_http::open() {
  auto policy = context_.policy();
  auto& settings = policy->settings;
  auto connections = settings.admin.max_connections;
  std::string what;
  auto tcp = [&](const std::optional<config::endpoint>& at, admin_scope scope, const char* key) {
    if (!at)
      return;
    what = std::string{key} + " " + at->text();
    servers_.push_back(std::make_unique<server>(
        *api_, scope, bounded_server_socket{Poco::Net::SocketAddress{at->host, at->port}}, connections, ""));
  };
  try {
    if (!settings.admin.socket.empty()) {
      what = "admin.socket " + settings.admin.socket;
      servers_.push_back(std::make_unique<server>(*api_, admin_scope::admin,
                                                  listen_unix(settings.admin.socket, settings.admin.mode), connections,
                                                  settings.admin.socket));
    }
    tcp(settings.admin.bind, admin_scope::admin, "admin.bind");
    tcp(settings.server.metrics.bind, admin_scope::metrics, "server.metrics.bind");
    tcp(settings.server.health.bind, admin_scope::health, "server.health.bind");
  } catch (const std::exception& e) {
    auto* poco = dynamic_cast<const Poco::Exception*>(&e);
    std::string why = poco != nullptr && !poco->message().empty() ? poco->message() : e.what();
    if (why.find("in use") != std::string::npos)
      why += ": another program listens there, maybe another relay; stop it, or write another address";
    return std::unexpected{error{HEDWIG_E_CONFIG, "cannot listen: " + why, what, 0}};
  }
  return {};
}

} // namespace hedwig
