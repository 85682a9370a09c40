// SPDX-License-Identifier: Apache-2.0
// Joins one fuzzer, which the build names, to libFuzzer.
#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hedwig::fuzz::HEDWIG_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
