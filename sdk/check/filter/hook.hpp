// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/filter.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/check/blemish.hpp"
#include "sdk/check/host.hpp"
#include "sdk/check/lent_memory.hpp"

namespace hedwig::check::filter {

enum class hook { connect, helo, auth, mail, recipient, header, body, end, delivery };
const char* name_of(hook which);

struct edit_copy {
  int kind = 0;
  std::string name, value;
  std::uint32_t index = 0, flags = 0;
  std::string body;
  bool operator==(const edit_copy&) const = default;
};

/// What a hook said, with memory of its own.
struct verdict_copy {
  hook from = hook::connect;
  hedwig_status status = 1;
  std::string error;
  int action = HEDWIG_CONTINUE;
  std::uint32_t reply_code = 0;
  std::string enhanced_code, reply;
  std::vector<edit_copy> edits;
  /// Whatever the operator is told besides.
  bool operator==(const verdict_copy& other) const {
    return from == other.from && status == other.status && action == other.action && reply_code == other.reply_code &&
           enhanced_code == other.enhanced_code && reply == other.reply && edits == other.edits;
  }
  bool goes_on() const {
    return status == HEDWIG_OK && (action == HEDWIG_CONTINUE || action == HEDWIG_ACCEPT || action == HEDWIG_QUARANTINE);
  }
};
/// For a failure's text.
std::string text_of(const verdict_copy& said);

/// What is wrong with a verdict, by the test that judges it.
struct blemishes {
  std::optional<blemish> action, reply, place, edits;
};

/// A hook's call, with the memory that it is shown, which goes the moment it is completed.
class hook_op : public hedwig_op {
public:
  hook_op(hook which, const host& owner, std::size_t memory, bool watched);
  ~hook_op() override;
  void take(const hedwig_completion& done) override;
  void let_go() override;

  /// A slice of `text`, of which the op has one reference until it is completed.
  const hedwig_slice* show_slice(std::string_view text);

  lent_memory& memory() { return memory_; }
  verdict_copy said;
  blemishes wrong;

private:
  void judge(const hedwig_verdict& raw);
  void take_edits(const hedwig_verdict& raw);
  void release_slice();

  const host& owner_;
  bool watched_;
  lent_memory memory_;
  hedwig_slice slice_{};
};

using op_pointer = std::shared_ptr<hook_op>;

} // namespace hedwig::check::filter
