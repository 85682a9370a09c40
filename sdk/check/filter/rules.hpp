// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sdk/check/rules.hpp"

namespace hedwig::check::rules {

inline constexpr rule hooks_answer =
    filter("Hooks complete with a hedwig_verdict; NULL result and HEDWIG_OK is CONTINUE.");
inline constexpr rule open_and_close =
    filter("what open() made is freed. It may come after stop, before destroy. NULL where open is.");
inline constexpr rule opens_sessions = filter("Anything but HEDWIG_OK is a failure of the filter.");
inline constexpr rule one_state_each =
    filter("One state object per session. Hooks of one session never overlap; sessions run concurrently.");
inline constexpr rule ends_in_any_state =
    filter("Always the last call of a session, whatever state it is in: what open() made is freed.");
inline constexpr rule known_verdicts =
    filter("An unknown action or edit kind, or a malformed reply, makes the verdict a failure of the filter.");
inline constexpr rule reject_is_5xx = filter("5xx to this command");
inline constexpr rule tempfail_is_4xx = filter("4xx to this command");
inline constexpr rule disconnect_is_421 = filter("421, or 5xx when reply_code says so");
inline constexpr rule reply_codes = filter("0: the host's choice for the action");
inline constexpr rule enhanced_codes = filter("\"5.7.1\", of the reply's class; empty: the host's choice");
inline constexpr rule reply_texts = filter("printable UTF-8, up to 1024 bytes; the host wraps the lines");
inline constexpr rule edits_at_the_end =
    filter("Edits are legal from on_end and on_delivery only, up to 1000 of them.");
inline constexpr rule field_names = filter("of a header field: up to 76 of printable US-ASCII, no ':'");
inline constexpr rule field_values = filter("unfolded; the host folds, and refuses CR, LF and NUL; up to 64 KiB");
inline constexpr rule folded_values =
    filter("every CR LF in it is a fold, followed by white space and by more than white space.");
inline constexpr rule replaced_from_1 = filter("occurrence `index` of name, from 1; none there: added");
inline constexpr rule one_new_body = filter("slices; at most once");
inline constexpr rule bare_addresses = filter("Addresses are without <>.");
inline constexpr rule any_bytes = filter("Body bytes in order, whichever they are, dots unstuffed;");
inline constexpr rule no_borders = filter("chunk borders mean nothing.");
inline constexpr rule fields_in_order = filter("A field of the header, in order.");
inline constexpr rule null_sender = filter("without <>; empty for the null sender");
inline constexpr rule not_known_yet = filter("What is known of a client; what is not known yet is empty.");
inline constexpr rule message_is_over =
    filter("The message in hand is over, refused, taken or given up, and what is known of it with it");
inline constexpr rule broke_its_rules = base("the callee broke its own rules: a bug");

} // namespace hedwig::check::rules
