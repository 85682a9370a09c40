// SPDX-License-Identifier: Apache-2.0
#include <Poco/Exception.h>
#include <Poco/JSON/Handler.h>
#include <Poco/JSON/Parser.h>
#include <fmt/format.h>

#include <limits>

#include "runtime/config/read.hpp"
#include "runtime/telemetry/log.hpp"

namespace hedwig::config {
namespace {

/// Walks the text beside the parser, which judges the grammar but tells no places: as its events come in the order of
/// the text, the start of the next token is all there is to find.
class place_finder {
public:
  explicit place_finder(std::string_view text) : text_{text} {}

  /// Moves to the next token that is not punctuation.
  void to_token() noexcept {
    while (at_ < text_.size() && std::string_view{" \t\r\n,:]}"}.find(text_[at_]) != std::string_view::npos)
      step();
  }
  void over_token() noexcept {
    if (at_ < text_.size() && text_[at_] == '"')
      over_string();
    else if (at_ < text_.size() && (text_[at_] == '{' || text_[at_] == '['))
      step();
    else
      while (at_ < text_.size() && std::string_view{" \t\r\n,:]}"}.find(text_[at_]) == std::string_view::npos)
        step();
  }
  [[nodiscard]] std::uint32_t line() const noexcept { return line_; }
  [[nodiscard]] std::uint32_t column() const noexcept { return column_; }

private:
  void step() noexcept {
    // A column is a character, as in the places of TOML files: bytes that continue one do not count.
    if (text_[at_] == '\n') {
      ++line_;
      column_ = 1;
    } else if (at_ + 1 >= text_.size() || (static_cast<unsigned char>(text_[at_ + 1]) & 0xC0) != 0x80) {
      ++column_;
    }
    ++at_;
  }
  void over_string() noexcept {
    for (step(); at_ < text_.size() && text_[at_] != '"'; step())
      if (text_[at_] == '\\' && at_ + 1 < text_.size())
        step();
    if (at_ < text_.size())
      step();
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
  std::uint32_t column_ = 1;
};

struct key_twice {
  std::uint32_t line;
  std::uint32_t column;
  std::string key;
};

class node_builder final : public Poco::JSON::Handler {
public:
  explicit node_builder(std::string_view text) : finder_{text} {}

  [[nodiscard]] node take() { return std::move(root_); }
  [[nodiscard]] const place_finder& finder() const noexcept { return finder_; }

  void reset() override {}
  void startObject() override { open(node::kind::table); }
  void startArray() override { open(node::kind::array); }
  void endObject() override { close(); }
  void endArray() override { close(); }
  void key(const std::string& name) override {
    finder_.to_token();
    if (open_.back().find(name))
      throw key_twice{finder_.line(), finder_.column(), name};
    open_.back().members.push_back({name, finder_.line(), finder_.column(), {}});
    finder_.over_token();
  }
  void null() override { plain(of_type(node::kind::other)); }
  void value(int number) override { plain(node::of(std::int64_t{number})); }
  void value(unsigned number) override { plain(node::of(std::int64_t{number})); }
  void value(Poco::Int64 number) override { plain(node::of(static_cast<std::int64_t>(number))); }
  void value(Poco::UInt64 number) override {
    // No key takes that much; as a fraction it is refused by type with its place.
    if (number > static_cast<Poco::UInt64>(std::numeric_limits<std::int64_t>::max()))
      value(static_cast<double>(number));
    else
      plain(node::of(static_cast<std::int64_t>(number)));
  }
  void value(const std::string& text) override { plain(node::of(text)); }
  void value(double number) override {
    node out = of_type(node::kind::real);
    out.real = number;
    plain(std::move(out));
  }
  void value(bool yes) override { plain(node::of(yes)); }

private:
  static node of_type(node::kind type) {
    node out;
    out.type = type;
    return out;
  }
  node placed(node what) {
    finder_.to_token();
    what.line = finder_.line();
    what.column = finder_.column();
    finder_.over_token();
    return what;
  }
  void open(node::kind type) { open_.push_back(placed(of_type(type))); }
  void plain(node what) { put(placed(std::move(what))); }
  void close() {
    node done = std::move(open_.back());
    open_.pop_back();
    if (open_.empty())
      root_ = std::move(done);
    else
      put(std::move(done));
  }
  void put(node what) {
    if (open_.empty())
      root_ = std::move(what);
    else if (open_.back().type == node::kind::array)
      open_.back().items.push_back(std::move(what));
    else
      open_.back().members.back().value = std::move(what);
  }

  place_finder finder_;
  node root_;
  std::vector<node> open_;
};

std::string shown(std::string_view text) {
  std::string out;
  telemetry::append_escaped(out, text, 200);
  return out;
}

} // namespace

std::expected<node, diagnostic> read_json(std::string_view text, const std::string& file) {
  Poco::SharedPtr<node_builder> builder = new node_builder{text};
  const auto fail = [&](std::uint32_t line, std::uint32_t column, std::string message) {
    return std::unexpected{diagnostic{file, line, column, std::move(message)}};
  };
  try {
    Poco::JSON::Parser parser{builder};
    (void)parser.parse(std::string{text});
  } catch (const key_twice& twice) {
    return fail(twice.line, twice.column, fmt::format("key \"{}\" stands here twice: keep one", shown(twice.key)));
  } catch (const Poco::Exception& failed) {
    return fail(builder->finder().line(), builder->finder().column(),
                fmt::format("this is not JSON: {}", shown(failed.message())));
  }
  node root = builder->take();
  if (root.type != node::kind::table)
    return fail(1, 1, "the file is no JSON object: write {\"server\": {...}}");
  return root;
}

} // namespace hedwig::config
