// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/error.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace hedwig {

namespace {

hedwig_status status_of(int os_errno) noexcept {
  switch (os_errno) {
  case ENOSPC:
  case EDQUOT:
    return HEDWIG_E_NO_SPACE;
  case ENOENT:
    return HEDWIG_E_NOT_FOUND;
  case EEXIST:
    return HEDWIG_E_EXISTS;
  case ETIMEDOUT:
    return HEDWIG_E_TIMEOUT;
  case EACCES:
  case EPERM:
    return HEDWIG_E_DENIED;
  case EAGAIN:
  case EMFILE:
  case ENFILE:
  case ENOMEM:
    return HEDWIG_E_BUSY;
  case ECONNREFUSED:
  case EHOSTUNREACH:
  case ENETUNREACH:
    return HEDWIG_E_UNAVAILABLE;
  default:
    return HEDWIG_E_IO;
  }
}

} // namespace

error system_error(int os_errno, std::string_view what) {
  return {status_of(os_errno), std::string{what} + ": " + std::generic_category().message(os_errno), {}, os_errno};
}

std::string_view to_string_view(hedwig_status status) noexcept {
  switch (status) {
  case HEDWIG_OK:
    return "ok";
  case HEDWIG_E_BUSY:
    return "busy";
  case HEDWIG_E_UNAVAILABLE:
    return "unavailable";
  case HEDWIG_E_TIMEOUT:
    return "timeout";
  case HEDWIG_E_CANCELLED:
    return "cancelled";
  case HEDWIG_E_NOT_FOUND:
    return "not found";
  case HEDWIG_E_EXISTS:
    return "exists";
  case HEDWIG_E_CONFLICT:
    return "conflict";
  case HEDWIG_E_DENIED:
    return "denied";
  case HEDWIG_E_INVALID:
    return "invalid";
  case HEDWIG_E_UNSUPPORTED:
    return "unsupported";
  case HEDWIG_E_NO_SPACE:
    return "no space";
  case HEDWIG_E_IO:
    return "i/o error";
  case HEDWIG_E_CORRUPT:
    return "corrupt";
  case HEDWIG_E_CONFIG:
    return "config";
  default:
    return "internal";
  }
}

void panic(std::string_view what) noexcept {
  std::fprintf(stderr, "hedwig: broken invariant: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

} // namespace hedwig
