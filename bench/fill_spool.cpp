// SPDX-License-Identifier: Apache-2.0
// Fills a stopped spool with deferred messages, as many as wanted, for the measurements of a large queue: each to one
// recipient, tried once, due in turn from DUE_IN seconds from now, spread over DUE_WITHIN seconds.
//
//   fill_spool PROVIDER FOLDER MESSAGES [BODY_BYTES] [DUE_IN] [DUE_WITHIN] [DOMAINS]
#include "runtime/base/message_id.hpp"
#include "runtime/queue/metadata.hpp"
#include "tests/component/storage/store_client.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

using namespace hedwig;
using batch = std::vector<test::op_pointer>;

constexpr std::size_t group = 1000;

struct plan {
  std::uint64_t messages = 0;
  std::size_t body_bytes = 2048;
  std::chrono::seconds due_in{3600};
  std::chrono::seconds due_within{86'400};
  std::uint64_t domains = 1000;
};

std::uint64_t number_of(int argc, char** argv, int place, std::uint64_t otherwise) {
  return argc > place ? std::strtoull(argv[place], nullptr, 10) : otherwise;
}

std::string domain_of(std::uint64_t number, const plan& wanted) {
  return "d" + std::to_string(number % wanted.domains) + ".example";
}

queue::message message_of(std::uint64_t number, const plan& wanted, wall_time now) {
  queue::message made;
  made.id = message_id::make(now + std::chrono::nanoseconds{number}, number);
  made.envelope.reverse_path = "sender@origin.example";
  made.envelope.recipients.push_back({.address = "user" + std::to_string(number) + "@" + domain_of(number, wanted)});
  made.received = {.time = now, .peer_address = "127.0.0.1", .helo = "origin.example", .protocol = "ESMTP"};
  made.from_domains = {"origin.example"};
  made.subject = "message " + std::to_string(number);
  return made;
}

std::string body_of(std::uint64_t number, const plan& wanted) {
  auto text = "From: sender@origin.example\r\nTo: user" + std::to_string(number) + "@" + domain_of(number, wanted) +
              "\r\nSubject: message " + std::to_string(number) + "\r\n\r\n";
  while (text.size() + 2 < wanted.body_bytes)
    text += std::string(std::min<std::size_t>(76, wanted.body_bytes - text.size() - 2), 'x') + "\r\n";
  return text;
}

test::op_pointer put_of(test::store_client& store, std::uint64_t number, const plan& wanted, wall_time now) {
  auto message = message_of(number, wanted, now);
  auto state = queue::make_record(message, now);
  auto due = now + wanted.due_in + wanted.due_within * number / std::max<std::uint64_t>(1, wanted.messages);
  state.attempts = 1;
  state.next_due = due;
  state.recipients[0].attempts = 1;
  state.recipients[0].due = due;
  state.recipients[0].last_attempt = now;
  state.recipients[0].last_reply = {451, "4.3.0", "try again later"};
  state.last_error = "451 4.3.0 try again later";
  auto metadata = queue::encode_metadata(message, state);
  if (!metadata) {
    std::fprintf(stderr, "%s\n", metadata.error().text().c_str());
    std::exit(1);
  }
  return store.make_put(message.id.raw, body_of(number, wanted), *metadata, HEDWIG_STATE_DEFERRED,
                        due.time_since_epoch().count());
}

void finish(test::store_client& store, const batch& ops) {
  for (auto& one : ops)
    if (store.wait(one).status != HEDWIG_OK) {
      std::fprintf(stderr, "%s\n", one->got.error.c_str());
      std::exit(1);
    }
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: fill_spool PROVIDER FOLDER MESSAGES [BODY_BYTES] [DUE_IN] [DUE_WITHIN] [DOMAINS]\n");
    return 2;
  }
  plan wanted;
  wanted.messages = number_of(argc, argv, 3, 0);
  wanted.body_bytes = number_of(argc, argv, 4, wanted.body_bytes);
  wanted.due_in = std::chrono::seconds{number_of(argc, argv, 5, 3600)};
  wanted.due_within = std::chrono::seconds{number_of(argc, argv, 6, 86'400)};
  wanted.domains = std::max<std::uint64_t>(1, number_of(argc, argv, 7, wanted.domains));
  hedwig_config settings;
  settings.texts["path"] = argv[2];
  test::store_client store{test::plugin_file(argv[1]), settings};
  if (store.start() != HEDWIG_OK) {
    std::fprintf(stderr, "%s\n", store.error().c_str());
    return 1;
  }
  auto began = std::chrono::steady_clock::now();
  auto now = std::chrono::time_point_cast<wall_time::duration>(std::chrono::system_clock::now());
  batch flying;
  for (std::uint64_t number = 0; number < wanted.messages;) {
    batch next;
    for (; next.size() < group && number < wanted.messages; ++number)
      next.push_back(put_of(store, number, wanted, now));
    store.submit(next);
    finish(store, flying);
    flying = std::move(next);
  }
  finish(store, flying);
  store.stop();
  auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf("%llu messages of %zu octets in %.1f s\n", static_cast<unsigned long long>(wanted.messages),
              wanted.body_bytes, took);
}
