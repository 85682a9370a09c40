// SPDX-License-Identifier: Apache-2.0
#include "tests/powercut/disk_image.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>

namespace hedwig::test {

namespace {

std::string parent_of(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string{} : path.substr(0, slash);
}

} // namespace

void write_tree(const disk_tree& tree, const std::string& folder) {
  std::filesystem::create_directories(folder);
  for (auto& [path, content] : tree) {
    auto whole = folder + "/" + path;
    if (!content) {
      std::filesystem::create_directories(whole);
      continue;
    }
    std::ofstream out{whole, std::ios::binary};
    out.write(content->data(), static_cast<std::streamsize>(content->size()));
    if (!out.flush())
      throw std::runtime_error{"cannot write " + whole};
  }
}

recorded_run::recorded_run(const std::string& journal, std::string root, disk_tree base) : root_{std::move(root)} {
  std::ifstream in{journal, std::ios::binary};
  std::ostringstream all;
  all << in.rdbuf();
  text_ = std::move(all).str();
  files_.push_back({true});
  now_[""] = 0;
  for (auto& [path, content] : base) {
    auto number = new_file(!content, content.value_or(""));
    now_[path] = number;
    names_[path] = {parent_of(path), {{never, number}}};
  }
  replay();
}

void recorded_run::replay() {
  for (std::size_t at = 0; at < text_.size();) {
    journal_record what;
    if (text_.size() - at < sizeof what)
      throw std::runtime_error{"the journal is cut off"};
    std::memcpy(&what, text_.data() + at, sizeof what);
    at += sizeof what;
    std::string_view rest{text_};
    take(length_++, what, rest.substr(at, what.text_size), rest.substr(at + what.text_size, what.data_size));
    at += what.text_size + what.data_size;
  }
}

std::string recorded_run::below(std::string_view path) const {
  return path.size() > root_.size() ? std::string{path.substr(root_.size() + 1)} : std::string{};
}

int recorded_run::new_file(bool folder, std::string base) {
  files_.push_back({folder, std::move(base), {}, {}});
  return static_cast<int>(files_.size() - 1);
}

void recorded_run::set_name(std::size_t at, const std::string& path, int number) {
  auto& known = names_[path];
  known.parent = parent_of(path);
  known.changes.push_back({at, number});
  if (number < 0)
    now_.erase(path);
  else
    now_[path] = number;
}

int recorded_run::find(const std::string& path) const {
  auto found = now_.find(path);
  return found == now_.end() ? -1 : found->second;
}

void recorded_run::take_open(std::size_t at, const journal_record& what, const std::string& path) {
  if ((what.flags & journal_created) != 0)
    set_name(at, path, new_file(false));
  auto number = find(path);
  if (number < 0) // made by a call the shim does not see, such as fopen: not part of what is checked
    set_name(at, path, number = new_file((what.flags & journal_folder) != 0));
  handles_[what.a] = number;
  auto cut = what;
  cut.kind = journal_kind::truncate;
  cut.b = 0;
  if ((what.flags & journal_truncated) != 0)
    files_[static_cast<std::size_t>(number)].operations.push_back({at, cut});
}

void recorded_run::end_sync(std::size_t at, const journal_record& what) {
  auto [number, begin] = open_syncs_.at(what.c);
  sync done{begin, at, (what.flags & journal_failed) != 0};
  (number < 0 ? whole_syncs_ : files_[static_cast<std::size_t>(number)].syncs).push_back(done);
}

void recorded_run::take(std::size_t at, const journal_record& what, std::string_view text, std::string_view data) {
  switch (what.kind) {
  case journal_kind::open:
    return take_open(at, what, below(text));
  case journal_kind::write:
  case journal_kind::truncate:
  case journal_kind::allocate:
    return files_[static_cast<std::size_t>(handles_.at(what.a))].operations.push_back({at, what, data});
  case journal_kind::rename:
  case journal_kind::link: {
    auto number = find(below(text));
    if (number < 0)
      return;
    set_name(at, below(data), number);
    if (what.kind == journal_kind::rename)
      set_name(at, below(text), -1);
    return;
  }
  case journal_kind::unlink:
  case journal_kind::remove:
    return set_name(at, below(text), -1);
  case journal_kind::make:
    return set_name(at, below(text), new_file(true));
  case journal_kind::sync_begin:
    open_syncs_[what.c] = {what.a == 0 ? -1 : handles_.at(what.a), at};
    return;
  case journal_kind::sync_end:
    return end_sync(at, what);
  case journal_kind::mark:
    return marks_.push_back({at, what.a, std::string{data}});
  case journal_kind::forbidden:
    forbidden_.emplace_back(text);
    return;
  }
  throw std::runtime_error{"a record of an unknown kind"};
}

/// The disk at one point, under one choice.
class recorded_run::view {
public:
  view(const recorded_run& run, std::size_t point, const disk_choice& choice)
    : run_{run}, point_{point}, choice_{choice}, random_{choice.seed * 0x9E3779B97F4A7C15u + point} {
    std::uniform_int_distribution<std::size_t> some{0, point};
    cut_ = some(random_);
    constexpr unsigned odds[] = {10, 50, 90};
    odds_ = odds[random_() % 3];
  }

  disk_tree tree() {
    std::map<std::string, int> there;
    for (auto& [path, name] : run_.names_)
      if (auto number = pick(name); number >= 0)
        there[path] = number;
    disk_tree result;
    for (auto& [path, number] : there) { // a folder stands before what is in it
      auto parent = parent_of(path);
      if (!parent.empty() && (!result.contains(parent) || result[parent]))
        continue; // the way to it is lost
      auto& file = run_.files_[static_cast<std::size_t>(number)];
      result[path] = file.folder ? std::nullopt : std::optional{content(number)};
    }
    return result;
  }

private:
  bool lucky() { return random_() % 100 < odds_; }

  /// Operations before this one are certain, as far as no sync of them had failed; `tainted` is where that ends.
  std::size_t covered(const std::vector<sync>& own, std::vector<std::pair<std::size_t, std::size_t>>& tainted) const {
    std::vector<sync> all;
    for (auto* list : {&own, &run_.whole_syncs_})
      for (auto& one : *list)
        if (one.end < point_)
          all.push_back(one);
    std::sort(all.begin(), all.end(), [](const sync& x, const sync& y) { return x.end < y.end; });
    std::size_t until = 0;
    for (auto& one : all) {
      if (one.failed && one.begin > until)
        tainted.emplace_back(until, one.begin);
      if (!one.failed)
        until = std::max(until, one.begin);
    }
    return until;
  }

  static bool is_certain(std::size_t at, std::size_t until,
                         const std::vector<std::pair<std::size_t, std::size_t>>& bad) {
    return at < until &&
           std::none_of(bad.begin(), bad.end(), [at](auto& range) { return at >= range.first && at < range.second; });
  }

  int pick(const name& one) {
    std::vector<std::pair<std::size_t, std::size_t>> tainted;
    static const std::vector<sync> none;
    auto folder = run_.folder_of(one, point_);
    auto until = covered(folder < 0 ? none : run_.files_[static_cast<std::size_t>(folder)].syncs, tainted);
    std::vector<int> open{-1}; // what it may be
    for (auto& change : one.changes) {
      if (change.at != never && change.at >= point_)
        break;
      if (change.at == never || is_certain(change.at, until, tainted))
        open.clear();
      else if (choice_.what == disk_choice::kind::nothing ||
               (choice_.what == disk_choice::kind::prefix && change.at >= cut_))
        continue;
      open.push_back(change.file);
    }
    return choice_.what == disk_choice::kind::scattered ? open[random_() % open.size()] : open.back();
  }

  std::string content(int number) {
    auto& file = run_.files_[static_cast<std::size_t>(number)];
    auto text = file.base;
    std::vector<std::pair<std::size_t, std::size_t>> tainted;
    auto until = covered(file.syncs, tainted);
    for (auto& one : file.operations) {
      if (one.at >= point_)
        break;
      if (is_certain(one.at, until, tainted) || choice_.what == disk_choice::kind::all)
        apply(text, one);
      else if (choice_.what == disk_choice::kind::prefix)
        one.at < cut_ ? apply(text, one) : one.at == cut_ ? tear(text, one) : void();
      else if (choice_.what == disk_choice::kind::scattered)
        scatter(text, one);
    }
    return text;
  }

  static void put(std::string& text, std::size_t offset, std::string_view data) {
    if (text.size() < offset + data.size())
      text.resize(offset + data.size());
    text.replace(offset, data.size(), data);
  }

  static void apply(std::string& text, const data_operation& one) {
    auto& what = one.what;
    if (what.kind == journal_kind::write)
      return put(text, what.b, one.data);
    if (what.kind == journal_kind::truncate)
      return text.resize(what.b);
    if ((what.flags & journal_punch) != 0 && what.b < text.size())
      text.replace(what.b, std::min<std::size_t>(what.c, text.size() - what.b),
                   std::string(std::min<std::size_t>(what.c, text.size() - what.b), '\0'));
    if ((what.flags & journal_keep_size) == 0)
      text.resize(std::max<std::size_t>(text.size(), what.b + what.c));
  }

  /// The pieces of a write that lie in one sector each.
  template <class Each>
  void sectors(const data_operation& one, Each each) const {
    auto offset = one.what.b;
    for (auto left = one.data; !left.empty();) {
      auto some = left.substr(0, choice_.sector - offset % choice_.sector);
      each(offset, some);
      offset += some.size();
      left.remove_prefix(some.size());
    }
  }

  void tear(std::string& text, const data_operation& one) {
    if (one.what.kind != journal_kind::write)
      return;
    auto kept = random_() % (one.data.size() / choice_.sector + 1);
    sectors(one, [&](std::size_t offset, std::string_view piece) {
      if (kept != 0) {
        put(text, offset, piece);
        --kept;
      }
    });
  }

  void scatter(std::string& text, const data_operation& one) {
    if (one.what.kind != journal_kind::write) {
      if (lucky())
        apply(text, one);
      return;
    }
    auto end = one.what.b + one.data.size();
    if (random_() % 4 == 0 && text.size() < end)
      text.resize(end); // the size got there and the blocks did not
    sectors(one, [&](std::size_t offset, std::string_view piece) {
      if (lucky())
        put(text, offset, piece);
    });
  }

  const recorded_run& run_;
  std::size_t point_;
  disk_choice choice_;
  std::mt19937_64 random_;
  std::size_t cut_ = 0;
  unsigned odds_ = 50;
};

int recorded_run::folder_of(const name& one, std::size_t point) const {
  if (one.parent.empty())
    return 0;
  auto found = names_.find(one.parent);
  int number = -1;
  if (found != names_.end())
    for (auto& change : found->second.changes)
      if (change.at == never || change.at < point)
        number = change.file;
  return number;
}

disk_tree recorded_run::crash(std::size_t point, const disk_choice& choice) const {
  return view{*this, point, choice}.tree();
}

} // namespace hedwig::test
