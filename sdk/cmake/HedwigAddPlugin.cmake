# SPDX-License-Identifier: Apache-2.0
# hedwig_add_plugin(filter-example SOURCES filter_example.cpp [DEPENDS Botan::Botan ...] [NO_INSTALL])
#
# Builds filter-example.so as the host wants its plugins: one exported symbol, everything resolved at link time, never
# unloaded. The host finds the provider "example" of the interface "hedwig.filter/1" in the file filter-example.so.
# The file goes to HEDWIG_PLUGIN_OUTPUT_DIRECTORY where that is set, and is installed to HEDWIG_PLUGIN_INSTALL_DIR.

set(HEDWIG_PLUGIN_MAP ${CMAKE_CURRENT_LIST_DIR}/hedwig_plugin.map CACHE INTERNAL "Version script of every plugin")
set(HEDWIG_PLUGIN_INSTALL_DIR lib/hedwig/plugins CACHE STRING "Where plugins are installed, below the prefix")

function(hedwig_add_plugin name)
  cmake_parse_arguments(ARG "NO_INSTALL" "OUTPUT_DIRECTORY" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} MODULE ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE HedwigSDK::hedwig ${ARG_DEPENDS})
  set(standard 20)
  if(HEDWIG_PLUGIN_CXX_STANDARD)
    set(standard ${HEDWIG_PLUGIN_CXX_STANDARD})
  elseif(CMAKE_CXX_STANDARD GREATER 20)
    set(standard ${CMAKE_CXX_STANDARD})
  endif()
  set_target_properties(${name} PROPERTIES
    C_STANDARD 99 C_EXTENSIONS ON CXX_STANDARD ${standard} CXX_STANDARD_REQUIRED ON
    PREFIX "" OUTPUT_NAME ${name} SUFFIX ".so"
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LINK_DEPENDS ${HEDWIG_PLUGIN_MAP})
  # Hidden visibility alone still exports the weak symbols of the C++ library.
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
  target_link_options(${name} PRIVATE
    -Wl,--version-script=${HEDWIG_PLUGIN_MAP} -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now)
  if(NOT HEDWIG_SANITIZE AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
  if(TARGET hedwig_plugin_flags)
    target_link_libraries(${name} PRIVATE hedwig_plugin_flags)
  endif()
  if(ARG_OUTPUT_DIRECTORY)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${ARG_OUTPUT_DIRECTORY})
  elseif(HEDWIG_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${HEDWIG_PLUGIN_OUTPUT_DIRECTORY})
  endif()
  if(NOT ARG_NO_INSTALL)
    install(TARGETS ${name} LIBRARY DESTINATION ${HEDWIG_PLUGIN_INSTALL_DIR} COMPONENT relay)
  endif()
endfunction()
