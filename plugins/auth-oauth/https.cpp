// SPDX-License-Identifier: Apache-2.0
#include "https.hpp"

#include <curl/curl.h>

#include <algorithm>

#include "text.hpp"

namespace hedwig::auth_oauth {

namespace {

constexpr std::size_t idle_max = 16;

sdk::failure unavailable(std::string why) { return sdk::failure{HEDWIG_E_UNAVAILABLE, std::move(why)}; }

void begin_curl() {
  static const auto begun = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (begun != CURLE_OK)
    throw unavailable("libcurl does not start");
}

struct received_body {
  std::string text;
  bool too_large = false;
};

std::size_t take_body(char* data, std::size_t, std::size_t size, void* to) {
  auto& body = *static_cast<received_body*>(to);
  body.too_large = body.text.size() + size > response_octets_max;
  if (body.too_large)
    return 0;
  body.text.append(data, size);
  return size;
}

long milliseconds(std::chrono::nanoseconds time) {
  return std::max<long>(1, static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()));
}

} // namespace

/// A handle, with the connection that it kept, for one request.
class https_client::lease {
public:
  explicit lease(https_client& from) : from_{from} {
    std::lock_guard lock{from_.mutex_};
    if (from_.idle_.empty()) {
      handle_ = curl_easy_init();
    } else {
      handle_ = from_.idle_.back();
      from_.idle_.pop_back();
    }
    if (handle_ == nullptr)
      throw unavailable("out of memory for a request");
    curl_easy_reset(handle_); // the connection stays
  }
  lease(const lease&) = delete;
  lease& operator=(const lease&) = delete;
  ~lease() {
    curl_slist_free_all(headers_);
    curl_easy_reset(handle_); // forgets the secrets
    std::lock_guard lock{from_.mutex_};
    if (from_.idle_.size() < idle_max)
      from_.idle_.push_back(handle_);
    else
      curl_easy_cleanup(handle_);
  }

  template <class Value>
  void set(CURLoption option, Value value) {
    if (curl_easy_setopt(handle_, option, value) != CURLE_OK)
      throw unavailable("libcurl refuses an option");
  }
  void header(const char* text) {
    headers_ = curl_slist_append(headers_, text);
    set(CURLOPT_HTTPHEADER, headers_);
  }
  [[nodiscard]] CURL* handle() const noexcept { return handle_; }

private:
  https_client& from_;
  CURL* handle_ = nullptr;
  curl_slist* headers_ = nullptr;
};

https_client::https_client(const settings& from)
  : ca_file_{from.ca_file}, connect_timeout_{from.connect_timeout}, timeout_{from.timeout},
    credentials_{form_encoded(from.client_id) + ":" + form_encoded(from.client_secret)} {
  begin_curl();
}

https_client::~https_client() {
  for (auto* handle : idle_)
    curl_easy_cleanup(handle);
}

std::string https_client::get(const std::string& url, std::chrono::nanoseconds patience) {
  lease on{*this};
  return run(on, url, patience);
}

std::string https_client::post(const std::string& url, const std::string& form, std::chrono::nanoseconds patience) {
  lease on{*this};
  on.set(CURLOPT_POSTFIELDSIZE, static_cast<long>(form.size()));
  on.set(CURLOPT_POSTFIELDS, form.c_str());
  on.set(CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
  on.set(CURLOPT_USERPWD, credentials_.c_str());
  on.header("Expect:");
  return run(on, url, patience);
}

std::string https_client::run(lease& on, const std::string& url, std::chrono::nanoseconds patience) {
  received_body body;
  char why[CURL_ERROR_SIZE] = {};
  on.set(CURLOPT_URL, url.c_str());
  on.set(CURLOPT_PROTOCOLS_STR, "https");
  on.set(CURLOPT_SSL_VERIFYPEER, 1L);
  on.set(CURLOPT_SSL_VERIFYHOST, 2L);
  on.set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  on.set(CURLOPT_CAINFO, ca_file_.c_str());
  on.set(CURLOPT_FOLLOWLOCATION, 0L);
  on.set(CURLOPT_PROXY, "");
  on.set(CURLOPT_NOSIGNAL, 1L);
  on.set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(std::min(connect_timeout_, patience)));
  on.set(CURLOPT_TIMEOUT_MS, milliseconds(std::min(timeout_, patience)));
  on.set(CURLOPT_WRITEFUNCTION, &take_body);
  on.set(CURLOPT_WRITEDATA, &body);
  on.set(CURLOPT_ERRORBUFFER, why);
  on.header("Accept: application/json");
  auto done = curl_easy_perform(on.handle());
  if (body.too_large)
    throw unavailable("the answer is larger than 256 KiB");
  if (done != CURLE_OK)
    throw unavailable(*why != '\0' ? why : curl_easy_strerror(done));
  long status = 0;
  curl_easy_getinfo(on.handle(), CURLINFO_RESPONSE_CODE, &status);
  if (status != 200)
    throw unavailable("the server answers with status " + std::to_string(status));
  return std::move(body.text);
}

} // namespace hedwig::auth_oauth
