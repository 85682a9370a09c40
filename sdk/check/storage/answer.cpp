// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/storage/answer.hpp"

#include <hedwig/plugin.hpp>

#include <cstring>

#include "sdk/check/storage/rules.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::storage {

namespace {

/// The result as the struct it must be; throws broken when it is absent or too short to be one of ABI 1.0.
template <class Result>
const Result& as(const void* raw, std::size_t least, const char* name) {
  auto* result = static_cast<const Result*>(raw);
  expect(result != nullptr, rules::sized_structs, "{} is missing", name);
  expect(result->struct_size >= least, rules::sized_structs, "{} says struct_size {}, it has at least {} bytes", name,
         result->struct_size, least);
  return *result;
}

void take_entry(const hedwig_entry* raw, answer& got) {
  auto& e = as<hedwig_entry>(raw, sizeof(hedwig_entry), "hedwig_entry");
  got.entries.push_back(
      {e.id, e.state, e.flags, e.hint, e.revision, e.body_size, e.due, std::string{sdk::view(e.metadata)}});
}

void take_commit(const void* raw, answer& got) {
  auto& result = as<hedwig_commit_result>(raw, sizeof(hedwig_commit_result), "hedwig_commit_result");
  got.hint = result.hint;
  got.revision = result.revision;
  got.group_size = result.group_size;
}

void take_list(const void* raw, answer& got) {
  auto& result = as<hedwig_list_result>(raw, sizeof(hedwig_list_result), "hedwig_list_result");
  for (std::size_t i = 0; i < result.entry_count; ++i)
    take_entry(result.entries[i], got);
  expect(result.cursor.size <= HEDWIG_CURSOR_MAX, rules::cursor_size, "a cursor of {} bytes, at most {} are allowed",
         result.cursor.size, HEDWIG_CURSOR_MAX);
  got.cursor = sdk::view(result.cursor);
}

void take_read(const void* raw, answer& got, const host& owner) {
  auto& result = as<hedwig_read_result>(raw, sizeof(hedwig_read_result), "hedwig_read_result");
  got.body_size = result.body_size;
  for (std::size_t i = 0; i < result.slice_count; ++i) {
    expect(result.slices[i].buf != nullptr, rules::read_references, "a slice of a READ has no buffer");
    got.body += sdk::view(result.slices[i]);
    owner.release(result.slices[i].buf);
  }
}

void take_stats(const void* raw, answer& got) {
  auto& result = as<hedwig_storage_stats>(raw, sizeof(hedwig_storage_stats), "hedwig_storage_stats");
  got.stats = result;
  got.states.assign(result.states, result.states + result.state_count);
}

} // namespace

void storage_op::take(const hedwig_completion& done) {
  got.status = done.status;
  got.error = error;
  if (done.status != HEDWIG_OK)
    return;
  switch (kind) {
  case HEDWIG_STORAGE_PUT:
    got.revision = 1; // what a NULL stands for
    got.group_size = 1;
    if (done.result != nullptr)
      take_commit(done.result, got);
    break;
  case HEDWIG_STORAGE_MOVE:
    return take_commit(done.result, got);
  case HEDWIG_STORAGE_STAGE:
    got.stage = as<hedwig_stage_result>(done.result, sizeof(hedwig_stage_result), "hedwig_stage_result").stage;
    expect(got.stage != 0, rules::stage_is_named, "a stage has the number 0");
    break;
  case HEDWIG_STORAGE_STAT:
    return take_entry(static_cast<const hedwig_entry*>(done.result), got);
  case HEDWIG_STORAGE_LIST:
  case HEDWIG_STORAGE_CLAIM:
    return take_list(done.result, got);
  case HEDWIG_STORAGE_READ:
    return take_read(done.result, got, owner_);
  case HEDWIG_STORAGE_STATS:
    return take_stats(done.result, got);
  default:
    break;
  }
}

void storage_op::let_go() {
  let_go_of_slices();
  std::memset(&request, 0xDD, sizeof request);
  metadata.assign(metadata.size(), '\xDD');
  cursor.assign(cursor.size(), '\xDD');
  if (on_completion)
    on_completion();
}

void storage_op::let_go_of_slices() {
  for (auto& one : slices)
    owner_.release(one.buf);
  slices.clear();
  slices.shrink_to_fit();
}

} // namespace hedwig::check::storage
