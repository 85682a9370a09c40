# SPDX-License-Identifier: Apache-2.0
# One small function for each kind of component; every file is listed by its owner.

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The sloppiness is what ccache asks for with precompiled headers. It learns of the included files from the compiler,
  # which saves a run of the preprocessor, and build folders share what one of them has compiled.
  set(launcher env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime CCACHE_DEPEND=1
      CCACHE_NOHASHDIR=1 ${CCACHE_PROGRAM})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(HEDWIG_PLUGIN_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/hedwig/plugins)

# 1 names functions and lines in a backtrace and compiles a quarter faster; 3 is for a debugger.
set(HEDWIG_DEBUG_INFO 1 CACHE STRING "what -g is given in debug builds")

add_library(hedwig_flags INTERFACE)
target_compile_features(hedwig_flags INTERFACE cxx_std_23)
target_include_directories(hedwig_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/sdk/include)
target_compile_definitions(hedwig_flags INTERFACE HEDWIG_VERSION="${PROJECT_VERSION}")
target_compile_options(hedwig_flags INTERFACE
  # Designated initialisers leave out on purpose what has a default.
  -Wall -Wextra -Wno-missing-field-initializers -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough
  $<$<CONFIG:Debug>:-Og> $<$<CONFIG:Debug>:-g${HEDWIG_DEBUG_INFO}> -fno-omit-frame-pointer -fstack-protector-strong)
if(HEDWIG_UNITY)
  # Several sources go to the compiler as one: most of its time is spent on the headers that they share. Two warnings
  # look at what is in another file then, one is wrong about std::expected where more is inlined (g++ 12); a build without
  # it, such as the one under the sanitizers, has them.
  set(CMAKE_UNITY_BUILD ON)
  set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)
  target_compile_options(hedwig_flags INTERFACE -Wno-shadow -Wno-subobject-linkage -Wno-maybe-uninitialized)
endif()
if(HEDWIG_WERROR)
  target_compile_options(hedwig_flags INTERFACE -Werror)
endif()
if(HEDWIG_SANITIZE)
  target_compile_options(hedwig_flags INTERFACE -fsanitize=${HEDWIG_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(hedwig_flags INTERFACE -fsanitize=${HEDWIG_SANITIZE})
endif()

if(HEDWIG_FUZZ)
  # clang 16 has the concepts that libstdc++ 12 asks for before it shows std::expected, and does not say so. Warnings are
  # the other compiler's business.
  target_compile_options(hedwig_flags INTERFACE -U__cpp_concepts -D__cpp_concepts=202002L -w -fsanitize=fuzzer-no-link)
endif()

# hedwig_library(net SOURCES a.cpp b.cpp DEPENDS hedwig_base OpenSSL::SSL): the static library hedwig_net.
function(hedwig_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(hedwig_${name} STATIC ${ARG_SOURCES})
  set_target_properties(hedwig_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(hedwig_${name} PUBLIC hedwig_flags ${ARG_DEPENDS})
endfunction()

# hedwig_program(hedwig SOURCES main.cpp DEPENDS hedwig_actors): installed to bin/.
function(hedwig_program name)
  cmake_parse_arguments(ARG "NO_INSTALL" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE hedwig_flags ${ARG_DEPENDS})
  if(NOT ARG_NO_INSTALL)
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT relay)
  endif()
endfunction()

# hedwig_test(unit_net SOURCES loop_test.cpp DEPENDS hedwig_net): a GoogleTest program, run as one ctest test.
function(hedwig_test name)
  if(NOT HEDWIG_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPENDS;ENVIRONMENT;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE hedwig_flags ${ARG_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
  if(HEDWIG_SANITIZE)
    # Under the sanitizers is what is tested; in the tests' own code they would only double the compiler's time.
    set_property(SOURCE ${ARG_SOURCES} APPEND PROPERTY COMPILE_OPTIONS -fno-sanitize=undefined -O0)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}" ENVIRONMENT
    "HEDWIG_BUILD_DIR=${CMAKE_BINARY_DIR};HEDWIG_PLUGIN_DIR=${HEDWIG_PLUGIN_OUTPUT_DIRECTORY};LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0;${ARG_ENVIRONMENT}")
endfunction()

# hedwig_script_test(e2e_submit FILE submit_test.py): a Python test that runs the built programs, by Debian's Python
# (where python3-dkim is). LONG ones start first, so that none is left alone at the end.
function(hedwig_script_test name)
  if(NOT HEDWIG_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "RUN_SERIAL;LONG" "FILE;TIMEOUT" "LABELS;ENVIRONMENT" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 180)
  endif()
  add_test(NAME ${name} COMMAND /usr/bin/python3 -B ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_FILE}
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "e2e;${ARG_LABELS}" RUN_SERIAL ${ARG_RUN_SERIAL}
    COST $<IF:$<BOOL:${ARG_LONG}>,100,10>
    ENVIRONMENT "HEDWIG_BUILD_DIR=${CMAKE_BINARY_DIR};HEDWIG_PLUGIN_DIR=${HEDWIG_PLUGIN_OUTPUT_DIRECTORY};${ARG_ENVIRONMENT}")
endfunction()
