// SPDX-License-Identifier: Apache-2.0
#include "actors/admin_http.hpp"

#include "actors/admin_api.hpp"
#include "runtime/telemetry/log.hpp"

#include <Poco/Net/HTTPRequestHandler.h>
#include <Poco/Net/HTTPRequestHandlerFactory.h>
#include <Poco/Net/HTTPServer.h>
#include <Poco/Net/HTTPServerParams.h>
#include <Poco/Net/HTTPServerRequest.h>
#include <Poco/Net/HTTPServerResponse.h>
#include <Poco/Net/ServerSocket.h>
#include <Poco/ThreadPool.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace hedwig {

namespace {

using Poco::Net::HTTPServerRequest;
using Poco::Net::HTTPServerResponse;

/// A request body beyond this is refused.
constexpr std::streamsize body_size_max = 64 * 1024;
constexpr int threads_min = 1;
constexpr int queue_max = 64;

/// Answers one request by the API.
class api_handler final : public Poco::Net::HTTPRequestHandler {
public:
  api_handler(admin_api& api, admin_scope scope) : api_{api}, scope_{scope} {}

  void handleRequest(HTTPServerRequest& request, HTTPServerResponse& response) override {
    auto answer = request.getContentLength64() > body_size_max
                      ? admin_answer{413, "text/plain", "request too large\n"}
                      : api_.answer(scope_, request.getMethod(), request.getURI());
    response.setStatus(static_cast<Poco::Net::HTTPResponse::HTTPStatus>(answer.status));
    response.setContentType(answer.content_type);
    response.setContentLength64(static_cast<Poco::Int64>(answer.body.size()));
    auto& out = response.send();
    if (request.getMethod() != Poco::Net::HTTPRequest::HTTP_HEAD)
      out << answer.body;
  }

private:
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

Poco::Net::ServerSocket listen_unix(const std::string& path, std::uint32_t mode) {
  std::filesystem::create_directories(std::filesystem::path{path}.parent_path());
  // A socket left by a relay that was killed; a living one holds the spool, so we would not have come here.
  if (std::filesystem::is_socket(path))
    std::filesystem::remove(path);
  auto before = ::umask(0177);
  Poco::Net::ServerSocket socket{Poco::Net::SocketAddress{Poco::Net::AddressFamily::UNIX_LOCAL, path}};
  ::umask(before);
  ::chmod(path.c_str(), mode);
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
    made->setTimeout(Poco::Timespan{10, 0});
    made->setKeepAlive(true);
    made->setServerName("hedwig");
    return made;
  }

  std::string path_;
  Poco::ThreadPool threads_;
  Poco::Net::HTTPServer http_;
};

admin_http::admin_http(relay_context& context, caf::actor_system&, caf::actor supervisor)
  : context_{context}, supervisor_{std::move(supervisor)},
    api_{std::make_unique<admin_api>(context_, supervisor_)} {}

admin_http::~admin_http() { close(); }

void admin_http::close() { servers_.clear(); }

result<void> admin_http::open() {
  auto policy = context_.policy();
  auto& settings = policy->settings;
  auto connections = settings.admin.max_connections;
  std::string what;
  auto tcp = [&](const std::optional<config::endpoint>& at, admin_scope scope) {
    if (!at)
      return;
    what = at->text();
    servers_.push_back(std::make_unique<server>(
        *api_, scope, Poco::Net::ServerSocket{Poco::Net::SocketAddress{at->host, at->port}}, connections, ""));
  };
  try {
    if (!settings.admin.socket.empty()) {
      what = settings.admin.socket;
      servers_.push_back(std::make_unique<server>(*api_, admin_scope::admin, listen_unix(what, settings.admin.mode),
                                                  connections, what));
    }
    tcp(settings.admin.bind, admin_scope::admin);
    tcp(settings.server.metrics.bind, admin_scope::metrics);
    tcp(settings.server.health.bind, admin_scope::health);
  } catch (const std::exception& e) {
    auto* poco = dynamic_cast<const Poco::Exception*>(&e);
    return std::unexpected{error{HEDWIG_E_CONFIG, "cannot listen: " + (poco != nullptr ? poco->displayText() : e.what()), what, 0}};
  }
  return {};
}

} // namespace hedwig
