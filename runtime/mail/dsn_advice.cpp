// SPDX-License-Identifier: Apache-2.0
#include "runtime/mail/dsn_advice.hpp"

namespace hedwig::mail {
namespace {

struct advice_row {
  std::string_view code; ///< without the class; one that ends in '.' stands for all of its subject
  dsn_advice advice;
};

constexpr std::string_view check_address =
    "Check the address for typing mistakes and send the message again, or reach the person in another way.";
constexpr std::string_view ask_postmaster = "If it happens again, show this message to your postmaster.";

// First match counts: exact rows stand before the row of their subject (RFC 3463 section 3, IANA's registry).
constexpr advice_row advice_rows[] = {
    {"1.1", {"There is no such mailbox at the recipient's domain.", check_address}},
    {"1.2", {"The domain of the address does not exist or takes no mail under this name.", check_address}},
    {"1.3", {"The address is not written in a form that mail can be sent to.", check_address}},
    {"1.6", {"The mailbox has moved and its new address is not known.", check_address}},
    {"1.7", {"The recipient's server does not accept the sender's address.", ask_postmaster}},
    {"1.8", {"The recipient's server does not accept the domain of the sender's address.", ask_postmaster}},
    {"1.10", {"The recipient's domain says that it takes no mail at all.", check_address}},
    {"1.", {"The recipient's server does not accept one of the addresses.", check_address}},
    {"2.1", {"The mailbox exists but is switched off.", "Reach the recipient in another way."}},
    {"2.2", {"The recipient's mailbox is full.", "Tell the recipient in another way, or try again in some days."}},
    {"2.3", {"The message is bigger than the recipient may get.", "Send a smaller message, or a link to a file."}},
    {"2.", {"The recipient's mailbox cannot take the message.", "Reach the recipient in another way."}},
    {"3.4",
     {"The message is bigger than the recipient's server takes.", "Send a smaller message, or a link to a file."}},
    {"3.", {"The recipient's server has a problem of its own.", "Try again later."}},
    {"4.3", {"The name service gave no usable answer for the recipient's domain.", check_address}},
    {"4.4", {"No mail server could be found for the recipient's domain.", check_address}},
    {"4.6", {"The message went in a circle between mail servers.", ask_postmaster}},
    {"4.7",
     {"The message could not be delivered within the time it is kept here.",
      "Try again later, or reach the recipient in another way."}},
    {"4.",
     {"The recipient's mail server could not be reached, or the connection to it broke.",
      "Try again later, or reach the recipient in another way."}},
    {"5.3", {"The message has more recipients than the server takes.", "Send it to fewer people at a time."}},
    {"5.", {"The recipient's server and this one did not understand each other.", ask_postmaster}},
    {"6.7",
     {"An address has letters beyond ASCII, and the recipient's server cannot handle those.",
      "Use an address with plain letters where there is one."}},
    {"6.", {"The recipient's server does not accept the content of the message.", ask_postmaster}},
    {"7.4",
     {"This relay may hand the message over encrypted only, and the recipient's server does not offer that.",
      ask_postmaster}},
    {"7.5", {"This relay may hand the message over encrypted only, and the encryption failed.", ask_postmaster}},
    {"7.8", {"The next server did not accept this relay's login.", ask_postmaster}},
    {"7.",
     {"The recipient's server refused the message by its rules, for example as unwanted mail.",
      "The server's own words may say why. Ask the recipient's postmaster, if you know another way to reach them."}},
};

constexpr dsn_advice no_advice{
    "The recipient's server did not take the message.",
    "The server's own words may say why. Try again later, or reach the recipient in another way."};

} // namespace

dsn_advice advice_for(std::string_view status) noexcept {
  const std::string_view code = status.substr(status.find('.') + 1);
  for (const advice_row& row : advice_rows)
    if (code == row.code || (row.code.ends_with('.') && code.starts_with(row.code)))
      return row.advice;
  return no_advice;
}

} // namespace hedwig::mail
