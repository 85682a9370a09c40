// SPDX-License-Identifier: Apache-2.0
#include "connection.hpp"

#include <botan/certstor_flatfile.h>
#include <botan/x509cert.h>
#include <botan/x509path.h>
#include <ldap.h>
#include <poll.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>

#include "text.hpp"

namespace hedwig::auth_ldap {

namespace {

using std::chrono::nanoseconds;

/// Bytes of one answer: an entry with its attributes.
ber_len_t answer_octets_max = 4 * 1024 * 1024;
constexpr std::size_t text_octets_max = 300; // of a server's message in the log

constexpr std::size_t references_max = 100;
constexpr auto farewell_time = std::chrono::milliseconds{100}; // for saying so before a connection is closed

timeval time_of(nanoseconds length) {
  auto micros = std::max<std::int64_t>(std::chrono::duration_cast<std::chrono::microseconds>(length).count(), 1000);
  return {micros / 1'000'000, micros % 1'000'000};
}

using steady = std::chrono::steady_clock; // of the real network, as all waits here

// libldap waits with a deadline for the start of an answer, but not for the rest of one, nor in a TLS handshake (with
// GnuTLS it would go round for ever). So the lowest layer of each connection waits itself, and not beyond `end`.
int wait_until(Sockbuf_IO_Desc* layer, short events) {
  ber_socket_t fd = -1;
  ber_sockbuf_ctrl(layer->sbiod_sb, LBER_SB_OPT_GET_FD, &fd);
  for (;;) {
    auto left = *static_cast<steady::time_point*>(layer->sbiod_pvt) - steady::now();
    auto millis = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    pollfd one{fd, events, 0};
    auto ready = millis <= 0 ? 0 : ::poll(&one, 1, static_cast<int>(std::min<std::int64_t>(millis, 1'000'000)));
    if (ready > 0)
      return 0;
    if (ready == 0) {
      errno = ETIMEDOUT;
      return -1;
    }
    if (errno != EINTR)
      return -1;
  }
}
int layer_setup(Sockbuf_IO_Desc* layer, void* end) {
  layer->sbiod_pvt = end;
  return 0;
}
int layer_remove(Sockbuf_IO_Desc*) { return 0; }
int layer_ctrl(Sockbuf_IO_Desc* layer, int option, void* value) { return LBER_SBIOD_CTRL_NEXT(layer, option, value); }
ber_slen_t layer_read(Sockbuf_IO_Desc* layer, void* to, ber_len_t size) {
  return wait_until(layer, POLLIN) != 0 ? -1 : LBER_SBIOD_READ_NEXT(layer, to, size);
}
ber_slen_t layer_write(Sockbuf_IO_Desc* layer, void* from, ber_len_t size) {
  return wait_until(layer, POLLOUT) != 0 ? -1 : LBER_SBIOD_WRITE_NEXT(layer, from, size);
}
Sockbuf_IO deadline_layer{layer_setup, layer_remove, layer_ctrl, layer_read, layer_write, nullptr};
constexpr int above_socket = LBER_SBIOD_LEVEL_PROVIDER + 1;

int limit_socket(LDAP*, Sockbuf* buffer, LDAPURLDesc*, sockaddr*, ldap_conncb* hook) {
  ber_sockbuf_ctrl(buffer, LBER_SB_OPT_SET_MAX_INCOMING, &answer_octets_max);
  return ber_sockbuf_add_io(buffer, &deadline_layer, above_socket, hook->lc_arg);
}
void leave_socket(LDAP*, Sockbuf*, ldap_conncb*) {}

/// "dc1.example.com" of "ldaps://dc1.example.com:636/".
std::string host_of(std::string_view server) {
  server.remove_prefix(std::min(server.size(), server.find("//") + 2));
  if (server.starts_with('['))
    return std::string{server.substr(1, server.find(']') - 1)};
  return std::string{server.substr(0, server.find_first_of(":/"))};
}

bool is_server_trouble(int code) {
  switch (code) {
  case LDAP_OPERATIONS_ERROR:
  case LDAP_PROTOCOL_ERROR:
  case LDAP_BUSY:
  case LDAP_UNAVAILABLE:
  case LDAP_OTHER:
  case LDAP_REFERRAL:
    return true;
  default:
    return code < 0; // libldap's own
  }
}

/// RFC 4511 section 4.1.11.
struct policy_control {
  policy_control(LDAP* handle) { ldap_create_passwordpolicy_control(handle, &asked); }
  ~policy_control() { ldap_control_free(asked); }
  policy_control(const policy_control&) = delete;
  policy_control& operator=(const policy_control&) = delete;
  LDAPControl* asked = nullptr;
};

policy_answer policy_of(LDAP* handle, LDAPControl** controls) {
  policy_answer made;
  auto* found = ldap_control_find(LDAP_CONTROL_PASSWORDPOLICYRESPONSE, controls, nullptr);
  if (found == nullptr)
    return made;
  ber_int_t expires = -1;
  ber_int_t grace = -1;
  LDAPPasswordPolicyError error = PP_noError;
  if (ldap_parse_passwordpolicy_control(handle, found, &expires, &grace, &error) == LDAP_SUCCESS)
    made = {error == PP_noError ? -1 : static_cast<int>(error), expires, grace};
  return made;
}

[[noreturn]] void refuse_search(const search_request& what, int code, const std::string& said) {
  auto text = "search below " + what.base + " for " + what.filter + ": " + ldap_err2string(code);
  if (!said.empty())
    text += " (" + said + ")";
  if (is_server_trouble(code))
    throw trouble{std::move(text), false};
  throw sdk::failure{HEDWIG_E_UNAVAILABLE, std::move(text)};
}

int scope_of(search_request::depth scope) {
  switch (scope) {
  case search_request::depth::entry:
    return LDAP_SCOPE_BASE;
  case search_request::depth::one:
    return LDAP_SCOPE_ONELEVEL;
  default:
    return LDAP_SCOPE_SUBTREE;
  }
}

} // namespace

std::span<const std::string> entry::values(std::string_view attribute) const {
  for (auto& [name, all] : attributes)
    if (same_text(name, attribute))
      return all;
  return {};
}

std::string_view entry::value(std::string_view attribute) const {
  auto all = values(attribute);
  return all.empty() ? std::string_view{} : std::string_view{all.front()};
}

void connection::closes::operator()(ldap* handle) const noexcept { ldap_unbind_ext(handle, nullptr, nullptr); }

/// libldap calls it until the handle is gone.
struct connection::hook {
  steady::time_point end; // of the call under way
  ldap_conncb calls;
};

struct connection::freed {
  void operator()(ldapmsg* message) const noexcept { ldap_msgfree(message); }
};

connection::connection(const settings& from, const std::string& server, nanoseconds patience)
  : connection{from, server, patience, trust::checked} {}

connection::connection(const settings& from, const std::string& server, nanoseconds patience, trust whom)
  : server_{server} {
  LDAP* made = nullptr;
  if (auto code = ldap_initialize(&made, server.c_str()); code != LDAP_SUCCESS)
    throw trouble{std::string{"cannot use the address: "} + ldap_err2string(code), false};
  handle_.reset(made);
  patience = std::min(patience, from.connect_timeout);
  set_options(from, patience);
  hook_ = std::make_unique<hook>(hook{steady::now() + patience, {}});
  hook_->calls = {limit_socket, leave_socket, &hook_->end};
  if (auto code = ldap_set_option(made, LDAP_OPT_CONNECT_CB, &hook_->calls); code != LDAP_SUCCESS)
    fail("cannot watch the connection", code);
  bool local = server.starts_with("ldapi://");
  if (from.tls && !local)
    set_tls(from, whom);
  auto code = from.tls && server.starts_with("ldap://") ? ldap_start_tls_s(made, nullptr, nullptr) : ldap_connect(made);
  bool broke = code == LDAP_CONNECT_ERROR || code == LDAP_SERVER_DOWN; // it may be the handshake
  if (broke && from.tls && !local && whom == trust::checked && steady::now() < hook_->end)
    if (auto fault = certificate_fault(from, server, patience); !fault.empty())
      throw trouble{"its certificate is not to be trusted: " + fault, false};
  if (code != LDAP_SUCCESS)
    fail(from.tls && !local ? "cannot connect and start TLS" : "cannot connect", code);
  if (from.tls && !local && ldap_tls_inplace(made) == 0)
    throw trouble{"the connection has no TLS", false};
}

// libldap over GnuTLS keeps the reason to itself.
std::string connection::certificate_fault(const settings& from, const std::string& server, nanoseconds patience) {
  try {
    connection bare{from, server, patience, trust::anybody};
    berval der{};
    if (ldap_get_option(bare.handle_.get(), LDAP_OPT_X_TLS_PEERCERT, &der) != LDAP_SUCCESS || der.bv_len == 0)
      return {};
    Botan::X509_Certificate certificate{reinterpret_cast<const std::uint8_t*>(der.bv_val), der.bv_len};
    ldap_memfree(der.bv_val);
    Botan::Flatfile_Certificate_Store trusted{from.ca_file};
    auto judged =
        Botan::x509_path_validate(certificate, Botan::Path_Validation_Restrictions{}, trusted, host_of(server));
    return judged.successful_validation() ? std::string{} : judged.result_string() + " (ca_file: " + from.ca_file + ")";
  } catch (const std::exception&) {
    return {};
  }
}

connection::~connection() {
  if (hook_)
    hook_->end = steady::now() + farewell_time;
}

void connection::set_options(const settings&, nanoseconds patience) {
  auto* ld = handle_.get();
  int version = LDAP_VERSION3;
  auto limit = time_of(patience);
  ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);
  ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &limit);
  ldap_set_option(ld, LDAP_OPT_TIMEOUT, &limit);
  // A referral would have us show a password to a server that nobody configured.
  ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
  ldap_set_option(ld, LDAP_OPT_RESTART, LDAP_OPT_ON);
  int never = LDAP_DEREF_NEVER;
  ldap_set_option(ld, LDAP_OPT_DEREF, &never);
}

// Everything is set here, so that no ldap.conf of the machine can make it weaker.
void connection::set_tls(const settings& from, trust whom) {
  auto* ld = handle_.get();
  auto must = [&](int option, const void* value, const char* what) {
    if (auto code = ldap_set_option(ld, option, value); code != LDAP_SUCCESS)
      fail(what, code);
  };
  int demand = whom == trust::checked ? LDAP_OPT_X_TLS_DEMAND : LDAP_OPT_X_TLS_NEVER;
  int client = 0;
  must(LDAP_OPT_X_TLS_REQUIRE_CERT, &demand, "cannot demand a certificate");
  must(LDAP_OPT_X_TLS_CACERTFILE, from.ca_file.c_str(), "cannot use ca_file");
  ldap_set_option(ld, LDAP_OPT_X_TLS_CACERTDIR, nullptr);
  char* library = nullptr;
  ldap_get_option(ld, LDAP_OPT_X_TLS_PACKAGE, &library);
  bool gnu = library != nullptr && std::string_view{library} == "GnuTLS";
  ldap_memfree(library);
  int oldest = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2;
  if (gnu) // which has its own words for the versions
    must(LDAP_OPT_X_TLS_CIPHER_SUITE, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", "cannot set the versions of TLS");
  else
    must(LDAP_OPT_X_TLS_PROTOCOL_MIN, &oldest, "cannot set the versions of TLS");
  must(LDAP_OPT_X_TLS_NEWCTX, &client, "cannot read the certificates of ca_file");
}

std::string connection::diagnostic() const {
  char* text = nullptr;
  ldap_get_option(handle_.get(), LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
  std::string out = text == nullptr ? "" : std::string{text}.substr(0, text_octets_max);
  ldap_memfree(text);
  return out;
}

void connection::fail(const char* doing, int code) const {
  auto text = std::string{doing} + ": " + ldap_err2string(code);
  if (auto more = diagnostic(); !more.empty())
    text += " (" + more + ")";
  throw trouble{std::move(text), code == LDAP_SERVER_DOWN && steady::now() < hook_->end};
}

connection::message connection::await(int number, int all, nanoseconds patience) {
  auto limit = time_of(patience);
  ldapmsg* raw = nullptr;
  auto kind = ldap_result(handle_.get(), number, all, &limit, &raw);
  message answer{raw};
  if (kind == 0)
    throw trouble{"no answer within the time it may take", false};
  if (kind < 0) {
    int code = LDAP_SERVER_DOWN;
    ldap_get_option(handle_.get(), LDAP_OPT_RESULT_CODE, &code);
    fail("the connection broke", code == LDAP_SUCCESS ? LDAP_SERVER_DOWN : code);
  }
  return answer;
}

int connection::result_of(ldapmsg* answer, std::string& text) const {
  int code = LDAP_OTHER;
  char* said = nullptr;
  if (auto parsed = ldap_parse_result(handle_.get(), answer, &code, nullptr, &said, nullptr, nullptr, 0);
      parsed != LDAP_SUCCESS)
    code = parsed;
  text = said == nullptr ? "" : std::string{said}.substr(0, text_octets_max);
  ldap_memfree(said);
  return code;
}

bind_answer connection::bind(const std::string& name, std::string_view password, nanoseconds patience) {
  if (password.empty() || name.empty())
    return {bind_verdict::wrong_password, "neither may be empty", -1, -1};
  auto* ld = handle_.get();
  hook_->end = steady::now() + patience;
  berval secret{password.size(), const_cast<char*>(password.data())}; // libldap only reads it
  policy_control control{ld};
  LDAPControl* controls[] = {control.asked, nullptr};
  int number = 0;
  if (auto code = ldap_sasl_bind(ld, name.c_str(), LDAP_SASL_SIMPLE, &secret, control.asked ? controls : nullptr,
                                 nullptr, &number);
      code != LDAP_SUCCESS)
    fail("cannot send a bind", code);
  auto answer = await(number, LDAP_MSG_ALL, patience);
  int code = LDAP_OTHER;
  char* said = nullptr;
  LDAPControl** given = nullptr;
  if (auto parsed = ldap_parse_result(ld, answer.get(), &code, nullptr, &said, nullptr, &given, 0);
      parsed != LDAP_SUCCESS)
    code = parsed;
  auto text = said == nullptr ? std::string{} : std::string{said}.substr(0, text_octets_max);
  auto policy = policy_of(ld, given);
  ldap_memfree(said);
  ldap_controls_free(given);
  if (is_server_trouble(code))
    throw trouble{std::string{"bind: "} + ldap_err2string(code) + (text.empty() ? "" : " (" + text + ")"), false};
  if (code != LDAP_SUCCESS && text.empty())
    text = ldap_err2string(code);
  return judge_bind(code, std::move(text), policy);
}

search_answer connection::search(const search_request& what, nanoseconds patience) {
  auto* ld = handle_.get();
  auto end = hook_->end = steady::now() + patience;
  std::vector<char*> names;
  char none[] = LDAP_NO_ATTRS;
  for (auto& name : what.attributes)
    names.push_back(const_cast<char*>(name.c_str()));
  if (names.empty())
    names.push_back(none);
  names.push_back(nullptr);
  auto limit = time_of(patience);
  int number = 0;
  // One more than wanted, to know that there are more.
  if (auto code = ldap_search_ext(ld, what.base.c_str(), scope_of(what.scope), what.filter.c_str(), names.data(), 0,
                                  nullptr, nullptr, &limit, static_cast<int>(what.entries_max + 1), &number);
      code != LDAP_SUCCESS) {
    if (code == LDAP_FILTER_ERROR)
      throw sdk::failure{HEDWIG_E_UNAVAILABLE, "this is no filter: " + what.filter};
    fail("cannot send a search", code);
  }
  search_answer found;
  std::size_t references = 0;
  for (;;) {
    auto part = await(number, LDAP_MSG_ONE, end - steady::now());
    auto kind = ldap_msgtype(part.get());
    if (kind == LDAP_RES_SEARCH_ENTRY) {
      if (found.entries.size() == what.entries_max) {
        if (std::exchange(found.more, true))
          throw trouble{"the server gives more entries than it was asked for", false};
        continue;
      }
      found.entries.push_back(read_entry(part.get()));
    } else if (kind == LDAP_RES_SEARCH_RESULT) {
      std::string text;
      auto code = result_of(part.get(), text);
      if (code == LDAP_SIZELIMIT_EXCEEDED)
        found.more = true;
      else if (code != LDAP_SUCCESS && code != LDAP_NO_SUCH_OBJECT)
        refuse_search(what, code, text);
      return found;
    } else if (++references > references_max) { // to other servers; not followed
      throw trouble{"the server gives nothing but references to other servers", false};
    }
  }
}

entry connection::read_entry(ldapmsg* from) const {
  auto* ld = handle_.get();
  entry made;
  if (auto* dn = ldap_get_dn(ld, from)) {
    made.dn = dn;
    ldap_memfree(dn);
  }
  BerElement* place = nullptr;
  for (auto* name = ldap_first_attribute(ld, from, &place); name != nullptr;
       name = ldap_next_attribute(ld, from, place)) {
    std::vector<std::string> all;
    if (auto** values = ldap_get_values_len(ld, from, name)) {
      for (auto** one = values; *one != nullptr; ++one)
        all.emplace_back((*one)->bv_val, (*one)->bv_len);
      ldap_value_free_len(values);
    }
    made.attributes.emplace_back(name, std::move(all));
    ldap_memfree(name);
  }
  ber_free(place, 0);
  return made;
}

} // namespace hedwig::auth_ldap
