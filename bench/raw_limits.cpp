// SPDX-License-Identifier: Apache-2.0
// What the machine allows a store at best: groups of messages appended to one file with one fdatasync a group, and the
// same groups as synced batches of RocksDB with its values in blob files. Nothing is indexed, nothing removed.
//
//   raw_limits FOLDER OCTETS MESSAGES_IN_A_GROUP [SECONDS]
//
// Prints one line of JSON: append_per_second, rocksdb_per_second (messages).
#include <fcntl.h>
#include <unistd.h>

#include <rocksdb/db.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

namespace {

using steady = std::chrono::steady_clock;
constexpr std::size_t file_size_max = 1U << 30; // then the file begins anew

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "raw_limits: %s\n", what.c_str());
  std::exit(1);
}

/// Messages a second while `group` writes `size` of them, for `seconds`.
template <class Group>
double rate_of(double seconds, std::size_t size, Group group) {
  group(); // files are made and space is set aside
  std::size_t groups = 0;
  const auto started = steady::now();
  std::chrono::duration<double> taken{};
  while (taken.count() < seconds) {
    group();
    ++groups;
    taken = steady::now() - started;
  }
  return static_cast<double>(groups * size) / taken.count();
}

double appended(const std::filesystem::path& folder, const std::string& message, std::size_t size, double seconds) {
  const auto path = folder / "appended";
  const int fd = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0)
    fail("cannot open " + path.string());
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i)
    bytes += message;
  std::size_t at = 0;
  const auto rate = rate_of(seconds, size, [&] {
    if (at + bytes.size() > file_size_max)
      at = 0;
    if (::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at)) != static_cast<ssize_t>(bytes.size()) ||
        ::fdatasync(fd) != 0)
      fail("cannot write " + path.string());
    at += bytes.size();
  });
  ::close(fd);
  return rate;
}

double in_rocksdb(const std::filesystem::path& folder, const std::string& message, std::size_t size, double seconds) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.enable_blob_files = true;
  options.min_blob_size = 512;
  options.enable_blob_garbage_collection = true;
  rocksdb::DB* opened = nullptr;
  if (auto status = rocksdb::DB::Open(options, (folder / "rocksdb").string(), &opened); !status.ok())
    fail(status.ToString());
  const std::unique_ptr<rocksdb::DB> db{opened};
  rocksdb::WriteOptions synced;
  synced.sync = true;
  std::uint64_t number = 0;
  return rate_of(seconds, size, [&] {
    rocksdb::WriteBatch batch;
    for (std::size_t i = 0; i < size; ++i, ++number) {
      char key[17];
      std::snprintf(key, sizeof key, "%016llx", static_cast<unsigned long long>(number));
      batch.Put(rocksdb::Slice{key, 16}, message);
    }
    if (auto status = db->Write(synced, &batch); !status.ok())
      fail(status.ToString());
  });
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 4)
    fail("raw_limits FOLDER OCTETS MESSAGES_IN_A_GROUP [SECONDS]");
  const auto folder = std::filesystem::path{argv[1]} / ("raw-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const std::string message(static_cast<std::size_t>(std::atoll(argv[2])), 'x');
  const auto size = static_cast<std::size_t>(std::atoll(argv[3]));
  const auto seconds = argc > 4 ? std::atof(argv[4]) : 3.0;
  if (message.empty() || size == 0)
    fail("at least one octet and one message");
  const auto append = appended(folder, message, size, seconds);
  const auto rocks = in_rocksdb(folder, message, size, seconds);
  std::printf("{\"append_per_second\": %.0f, \"rocksdb_per_second\": %.0f}\n", append, rocks);
  std::filesystem::remove_all(folder);
}
