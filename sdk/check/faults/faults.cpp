// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/faults/faults.hpp"

#include <dlfcn.h>

#include "sdk/check/test.hpp"

namespace hedwig::check {

fault_switch::fault_switch(std::string folder)
  : folder_{std::move(folder)}, arm_{reinterpret_cast<decltype(arm_)>(::dlsym(RTLD_DEFAULT, "hedwig_check_arm"))},
    failures_{reinterpret_cast<decltype(failures_)>(::dlsym(RTLD_DEFAULT, "hedwig_check_failures"))},
    synced_opens_{reinterpret_cast<decltype(synced_opens_)>(::dlsym(RTLD_DEFAULT, "hedwig_check_synced_opens"))} {
  if (arm_ == nullptr || failures_ == nullptr || synced_opens_ == nullptr)
    throw skipped{"hedwig-check-faults.so is not preloaded: it belongs into ../lib/hedwig beside the program"};
}

} // namespace hedwig::check
