// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sdk/check/rules.hpp"

namespace hedwig::check::rules {

inline constexpr rule questions_offered =
    auth("A plugin answers four questions and implements the ones it can; the host offers the mechanisms that follow");
inline constexpr rule yes_has_identity =
    auth("the only way to say yes: NULL, or an empty identity, is an internal error");
inline constexpr rule identity_is_canonical = auth("canonical; what policies and logs see");
inline constexpr rule allowed_senders =
    auth("Allowed senders: \"a@b.example\", \"@b.example\", \"@*.b.example\" for what is below it, \"*\" for any.");
inline constexpr rule repeated_keys = auth("repeat a key for several values");
inline constexpr rule negative_durations = base("negative is invalid unless stated");
inline constexpr rule wrong_is_denied = auth("HEDWIG_E_DENIED wrong or expired");
inline constexpr rule unknown_is_not_found = auth("HEDWIG_E_NOT_FOUND no such user here, ask the next provider");
inline constexpr rule never_blank = auth("right as a whole or not at all, and never when empty.");
inline constexpr rule never_for_nobody = auth("A password is never right for an empty username.");
inline constexpr rule right_as_a_whole = auth("right as a whole or not at all");
inline constexpr rule names_one_user =
    auth("It names one user: what is syntax or a pattern to the backend means nothing in it.");
inline constexpr rule acts_for_another = auth("Another one is HEDWIG_E_DENIED unless username may act for it");
inline constexpr rule keeps_no_secret = auth("do not copy, keep or log it.");
inline constexpr rule outage_is_temporary =
    auth("A backend that cannot be asked is temporary, whoever is asked about.");
inline constexpr rule scram_iterations = auth("at least 4096 (RFC 7677)");
inline constexpr rule scram_salt = auth("not empty");
inline constexpr rule scram_keys = auth("32 bytes");
inline constexpr rule scram_secrets = auth("RFC 5803 secrets.");
inline constexpr rule scram_unknown = auth("For an unknown user complete with HEDWIG_E_NOT_FOUND");

} // namespace hedwig::check::rules
