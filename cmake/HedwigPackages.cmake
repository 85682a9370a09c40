# SPDX-License-Identifier: Apache-2.0
# Packages that Debian ships without a usable CMake or pkg-config file.

# CAF 0.17 comes without a CMake package.
find_path(CAF_INCLUDE_DIR caf/all.hpp REQUIRED)
find_library(CAF_CORE_LIBRARY caf_core REQUIRED)
add_library(caf::core INTERFACE IMPORTED)
target_include_directories(caf::core SYSTEM INTERFACE ${CAF_INCLUDE_DIR})
target_link_libraries(caf::core INTERFACE ${CAF_CORE_LIBRARY})

# libunbound.pc wants the .pc files of libraries that only a static link needs.
find_path(UNBOUND_INCLUDE_DIR unbound.h REQUIRED)
find_library(UNBOUND_LIBRARY unbound REQUIRED)
add_library(unbound::unbound INTERFACE IMPORTED)
target_include_directories(unbound::unbound SYSTEM INTERFACE ${UNBOUND_INCLUDE_DIR})
target_link_libraries(unbound::unbound INTERFACE ${UNBOUND_LIBRARY})
