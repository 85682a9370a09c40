// SPDX-License-Identifier: Apache-2.0
// What the deliberately bad plugins share.
#pragma once

#include <hedwig/hedwig.hpp>

#include <sys/socket.h>

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>

namespace bad {

constexpr auto fault_key = hedwig::sdk::key(HEDWIG_CONFIG_STRING, "fault", "What it does wrong.", 0, "\"none\"");
constexpr auto file_key = hedwig::sdk::key(HEDWIG_CONFIG_STRING, "while_there",
                                           "It does wrong while this file is there; empty: always.", 0, "\"\"");
inline constexpr const hedwig_config_key* keys[] = {&fault_key, &file_key};
inline constexpr hedwig_config_schema schema{sizeof schema, 2, keys};

struct provider {
  provider(hedwig::sdk::host from, const hedwig::sdk::config& config)
    : host{from.raw()}, fault{config.string("fault")}, file{config.string("while_there")} {}

  [[nodiscard]] bool does(const char* what) const {
    return fault == what && (file.empty() || std::filesystem::exists(file));
  }
  void finish(hedwig_op* op, const void* result = nullptr, hedwig_status status = HEDWIG_OK) const {
    hedwig_completion done{op, status, 0, result, nullptr};
    host->complete(host, &done, 1);
  }
  /// What both kinds do wrong alike; true: the call is dealt with.
  bool misbehave(hedwig_op* op) const {
    if (does("crash"))
      *static_cast<volatile int*>(nullptr) = 1;
    if (does("abort"))
      std::abort();
    if (does("throw-on-a-thread"))
      std::thread{[] { throw 1; }}.join();
    if (does("hang"))
      for (;;)
        std::this_thread::sleep_for(std::chrono::hours{1});
    if (does("garble")) { // what an isolated plugin could do to the relay: write where only its host should
      const char text[] = "\xff\xff\xff\xff garbage";
      static_cast<void>(::send(3, text, sizeof text, MSG_NOSIGNAL));
    }
    if (does("long-metric")) { // a name to be kept for good
      std::string frame(4, '\0');
      constexpr std::uint32_t name_size = 1 << 20;
      (frame += '\17').append(8, '\1').append(4, '\0');
      frame.append(reinterpret_cast<const char*>(&name_size), 4).append(name_size, 'x').append(8, '\0');
      auto size = static_cast<std::uint32_t>(frame.size() - 4);
      frame.replace(0, 4, reinterpret_cast<const char*>(&size), 4);
      static_cast<void>(::send(3, frame.data(), frame.size(), MSG_NOSIGNAL));
      std::this_thread::sleep_for(std::chrono::hours{1});
    }
    if (does("lie")) { // an answer to its third request, on_end of the first message, as a directory would give it
      const char identity[] = "\3"
                              "\1\0\0\0x"
                              "\0\0\0\0"
                              "\0\0\0\0"
                              "\0\0\0\0";
      std::string frame{"\0\0\0\0"
                        "\12"
                        "\3\0\0\0\0\0\0\0",
                        13};
      frame.append(identity, sizeof identity - 1).append(32, '\0'); // limits, cache time
      frame[0] = static_cast<char>(frame.size() - 4);
      static_cast<void>(::send(3, frame.data(), frame.size(), MSG_NOSIGNAL));
      std::this_thread::sleep_for(std::chrono::hours{1});
    }
    if (does("error"))
      finish(op, nullptr, HEDWIG_E_INTERNAL);
    if (does("double")) {
      finish(op);
      finish(op);
    }
    return does("leak") || does("error") || does("double");
  }

  const hedwig_host* host;
  std::string fault;
  std::string file;
};

} // namespace bad
