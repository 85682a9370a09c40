// SPDX-License-Identifier: Apache-2.0
// Refuses messages whose subject has one of the words that the operator lists, and marks all others.
#include <hedwig/hedwig.hpp>

#include <algorithm>

namespace {

namespace sdk = hedwig::sdk;

constexpr auto words =
    sdk::key(HEDWIG_CONFIG_STRINGS, "words", "Words that no subject may have.", HEDWIG_CONFIG_REQUIRED);
constexpr auto mark = sdk::key(HEDWIG_CONFIG_STRING, "mark", "Name of the header field that is added.", 0, "X-Mine");
constexpr const hedwig_config_key* keys[] = {&words, &mark};
constexpr hedwig_config_schema schema{sizeof schema, std::size(keys), keys};

std::string lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return out;
}

/// One for each [[filters]] entry. The constructor and start() may throw sdk::failure.
class filter {
public:
  filter(sdk::host host, const sdk::config& config)
    : host_{host}, mark_{config.string("mark")}, refused_{sdk::counter(host, "refused_total", "messages",
                                                                       "Messages refused for a word in the subject.")} {
    for (auto& word : config.strings("words"))
      words_.push_back(lower(word));
  }

  /// One for each client's session; its hooks never overlap. They run on an event thread: no file, no socket, no
  /// sleep. A hook that is not here costs nothing.
  class session {
  public:
    session(filter& owner, const hedwig_filter_session&) : owner_{owner} {}

    sdk::verdict on_mail(const hedwig_filter_address&) {
      found_.clear();
      return {};
    }
    sdk::verdict on_header(const hedwig_filter_header& field) {
      if (lower(sdk::view(field.name)) == "subject")
        found_ = owner_.word_in(lower(sdk::view(field.value)));
      return {};
    }
    sdk::verdict on_end(const hedwig_filter_message&) {
      if (found_.empty())
        return {HEDWIG_CONTINUE, {}, {}, {{HEDWIG_EDIT_ADD_HEADER, owner_.mark_, "checked"}}};
      owner_.refused_.add();
      owner_.host_.log(HEDWIG_LOG_INFO, "a message was refused", {{"word", found_}});
      return {HEDWIG_REJECT, "5.7.1", "the subject is not welcome here"};
    }

  private:
    filter& owner_;
    std::string found_;
  };

private:
  std::string word_in(const std::string& subject) const {
    for (auto& word : words_)
      if (subject.find(word) != std::string::npos)
        return word;
    return {};
  }

  sdk::host host_;
  std::string mark_;
  sdk::metric refused_;
  std::vector<std::string> words_;
};

constexpr auto provider = sdk::filter_provider<filter>::make("mine", "Refuses subjects with listed words.", &schema,
                                                             HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.example.filter-mine", "0.1.0", "Example", "Apache-2.0", &provider)
