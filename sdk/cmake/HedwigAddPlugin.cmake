# SPDX-License-Identifier: Apache-2.0
# hedwig_add_plugin(filter-example SOURCES filter_example.cpp [DEPENDS Botan::Botan ...] [NO_INSTALL])
#
# Builds filter-example.so as the host wants its plugins: one exported symbol, everything resolved at link time, never
# unloaded. The host finds the provider "example" of the interface "hedwig.filter/1" in the file filter-example.so.
# The file goes to HEDWIG_PLUGIN_OUTPUT_DIRECTORY where that is set, and is installed to HEDWIG_PLUGIN_INSTALL_DIR.

# hedwig_add_rust_plugin(filter-example MAIN filter_example.rs [SOURCES other.rs ...] [NO_INSTALL])
# The same for Rust without crates: rustc is all it needs. The crate exports hedwig_plugin_v1 and nothing else.
#
# hedwig_add_plugin_test(test_example PLUGIN filter-example SOURCES test_example.cpp [DEPENDS ...])
# A unit test in C++ with the mock host of <hedwig/testing.hpp>; HEDWIG_PLUGIN_FILE is the plugin's file as a string.
#
# hedwig_check_plugin(filter-example [CONFIG check.toml])
# A test that lets hedwig-plugin-check judge the plugin. Without that program the test fails and says so.

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

function(hedwig_add_rust_plugin name)
  cmake_parse_arguments(ARG "NO_INSTALL" "MAIN;OUTPUT_DIRECTORY" "SOURCES" ${ARGN})
  # Debian's first: one from elsewhere may be a wrapper that downloads.
  find_program(HEDWIG_RUSTC rustc PATHS /usr/bin NO_DEFAULT_PATH)
  find_program(HEDWIG_RUSTC rustc REQUIRED)
  set(folder ${CMAKE_CURRENT_BINARY_DIR})
  if(ARG_OUTPUT_DIRECTORY)
    set(folder ${ARG_OUTPUT_DIRECTORY})
  elseif(HEDWIG_PLUGIN_OUTPUT_DIRECTORY)
    set(folder ${HEDWIG_PLUGIN_OUTPUT_DIRECTORY})
  endif()
  set(file ${folder}/${name}.so)
  string(MAKE_C_IDENTIFIER ${name} crate)
  add_custom_command(OUTPUT ${file}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
    COMMAND ${HEDWIG_RUSTC} --edition 2021 --crate-name ${crate} --crate-type cdylib -O -C strip=symbols
      -C link-args=-Wl,-z,nodelete,-z,relro,-z,now -o ${file} ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_MAIN}
    DEPENDS ${ARG_MAIN} ${ARG_SOURCES} VERBATIM)
  add_custom_target(${name} ALL DEPENDS ${file})
  set_target_properties(${name} PROPERTIES HEDWIG_PLUGIN_FILE ${file})
  if(NOT ARG_NO_INSTALL)
    install(PROGRAMS ${file} DESTINATION ${HEDWIG_PLUGIN_INSTALL_DIR} COMPONENT relay)
  endif()
endfunction()

# The file of a plugin's target.
function(_hedwig_plugin_file target result)
  get_target_property(file ${target} HEDWIG_PLUGIN_FILE)
  if(NOT file)
    set(file $<TARGET_FILE:${target}>)
  endif()
  set(${result} ${file} PARENT_SCOPE)
endfunction()

function(hedwig_add_plugin_test name)
  cmake_parse_arguments(ARG "" "PLUGIN" "SOURCES;DEPENDS" ${ARGN})
  _hedwig_plugin_file(${ARG_PLUGIN} file)
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE HedwigSDK::testing ${ARG_DEPENDS})
  target_compile_definitions(${name} PRIVATE HEDWIG_PLUGIN_FILE="${file}")
  add_dependencies(${name} ${ARG_PLUGIN})
  add_test(NAME ${name} COMMAND ${name})
endfunction()

function(hedwig_check_plugin target)
  cmake_parse_arguments(ARG "" "CONFIG" "" ${ARGN})
  _hedwig_plugin_file(${target} file)
  set(program hedwig-plugin-check)
  if(NOT TARGET hedwig-plugin-check)
    find_program(HEDWIG_PLUGIN_CHECK hedwig-plugin-check HINTS ${HedwigSDK_DIR}/../../../bin)
    set(program ${HEDWIG_PLUGIN_CHECK})
  endif()
  set(settings "")
  if(ARG_CONFIG)
    set(settings --config ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_CONFIG})
  endif()
  add_test(NAME check_${target} COMMAND ${program} --short ${settings} ${file})
endfunction()
