// SPDX-License-Identifier: Apache-2.0
#include "runtime/dns/resolver.hpp"

namespace hedwig::dns {

void resolver::records(std::string_view, record_type, record_callback done) {
  done({.status = lookup_status::servfail, .records = {}, .why = "this resolver looks up no records by type"});
}

bool is_temporary(lookup_status status) noexcept {
  switch (status) {
  case lookup_status::servfail:
  case lookup_status::timeout:
  case lookup_status::bogus:
  case lookup_status::overload:
    return true;
  default:
    return false;
  }
}

std::string_view to_string_view(lookup_status status) noexcept {
  switch (status) {
  case lookup_status::ok:
    return "ok";
  case lookup_status::nxdomain:
    return "nxdomain";
  case lookup_status::no_data:
    return "no data";
  case lookup_status::null_mx:
    return "null mx";
  case lookup_status::invalid_name:
    return "invalid name";
  case lookup_status::servfail:
    return "servfail";
  case lookup_status::timeout:
    return "timeout";
  case lookup_status::bogus:
    return "bogus";
  case lookup_status::overload:
    return "overload";
  }
  return "servfail";
}

} // namespace hedwig::dns
