// SPDX-License-Identifier: Apache-2.0
// hedwig/hedwig.hpp - the whole C++20 face of the SDK.
#pragma once

#include "auth.hpp"
#include "dns.hpp"
#include "filter.hpp"
#include "hedwig.h"
#include "plugin.hpp"
#include "reloadable.hpp"
#include "services.hpp"
#if __has_include("storage.hpp")
#include "storage.hpp"
#endif
