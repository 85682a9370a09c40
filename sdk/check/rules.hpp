// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sdk/check/rule.hpp"

// Every rule the suites judge by. A quotation that its header does not hold is an error of the compiler's, so that no
// rule outlives the contract.

namespace hedwig::check::rules {

namespace text {

inline constexpr std::string_view base =
#include "check_generated/base_h.inc"
    ;
inline constexpr std::string_view host =
#include "check_generated/host_h.inc"
    ;
inline constexpr std::string_view plugin =
#include "check_generated/plugin_h.inc"
    ;
inline constexpr std::string_view config =
#include "check_generated/config_h.inc"
    ;
inline constexpr std::string_view storage =
#include "check_generated/storage_h.inc"
    ;
inline constexpr std::string_view auth =
#include "check_generated/auth_h.inc"
    ;
inline constexpr std::string_view filter =
#include "check_generated/filter_h.inc"
    ;

} // namespace text

consteval rule quote(std::string_view header, std::string_view text, std::string_view words) {
  int line = detail::line_of(text, words);
  if (line == 0)
    throw "these words do not stand in the header";
  return {header, line, words};
}
consteval rule base(std::string_view words) { return quote("hedwig/base.h", text::base, words); }
consteval rule host(std::string_view words) { return quote("hedwig/host.h", text::host, words); }
consteval rule plugin(std::string_view words) { return quote("hedwig/plugin.h", text::plugin, words); }
consteval rule config(std::string_view words) { return quote("hedwig/config.h", text::config, words); }
consteval rule storage(std::string_view words) { return quote("hedwig/storage.h", text::storage, words); }
consteval rule auth(std::string_view words) { return quote("hedwig/auth.h", text::auth, words); }
consteval rule filter(std::string_view words) { return quote("hedwig/filter.h", text::filter, words); }

// ---- every plugin ----

inline constexpr rule exactly_once = host("Completes ops, each exactly once.");
inline constexpr rule known_status = base("Readers treat an unknown negative value as HEDWIG_E_INTERNAL.");
inline constexpr rule sized_structs = base("The side that allocates it fills it in");
inline constexpr rule borrowed = base("a call that takes a hedwig_op they live until that op is completed.");
inline constexpr rule buffer_references = base("immutable, reference-counted bytes");
inline constexpr rule completes_start = plugin("No request before it completes OK.");
inline constexpr rule completes_stop =
    plugin("Complete after every op is completed and every thread the instance made is joined.");
inline constexpr rule cancel_is_advice = plugin("Advice that the op is not wanted any more.");
inline constexpr rule unloved_ops_complete =
    host("Non-zero once the host lost interest; completing is still required.");
inline constexpr rule creates = plugin("Makes an instance; cheap, opens nothing.");
inline constexpr rule tests_before_use = base("Test it before touching any field that a later minor version appended.");
inline constexpr rule only_appended = base("Fields are only ever appended.");
inline constexpr rule says_why = host("`error` may be NULL when status is HEDWIG_OK.");
inline constexpr rule lacks_services = host("Finds a service table by id, NULL when this host lacks it.");
inline constexpr rule may_be_many = plugin("several instances of one are legal.");
inline constexpr rule entry_is_pure = plugin("Returns constant data and does nothing else");
inline constexpr rule none_after_refusal =
    plugin("With any error but HEDWIG_OK there is none, and destroy is not called.");
inline constexpr rule destroys_unstarted = plugin("after a create that no start followed");
inline constexpr rule knows_extensions = plugin("NULL for an id that it does not know");
inline constexpr rule gives_back = plugin("Gives back whatever it had: descriptors, buffers, memory.");
inline constexpr rule runs_at_once = base("callable from every thread, concurrently.");
inline constexpr rule cancel_may_wait = host("It may wait: never from [event].");
inline constexpr rule names_the_key = base("`where` names the key");
inline constexpr rule explains_refusal = plugin("names the key in `where` and says in `message` what is wrong with it");
inline constexpr rule schema_holds = config("A plugin only ever sees values that satisfy its own schema.");
inline constexpr rule well_formed_schema = config("A schema is well-formed");
inline constexpr rule reads_as_declared = config("A wrong name or type is a plugin bug");
inline constexpr rule marks_secrets = config("a value that nobody else may see has this type");
inline constexpr rule keeps_secrets = config("a plugin never shows it in its log, its errors or its metrics");
inline constexpr rule old_stay = plugin("on failure the old ones stay in force.");
inline constexpr rule has_note = plugin("ELF note: identity without running code");
inline constexpr rule note_equals_table = plugin("what the table of the plugin says as well");
inline constexpr rule one_note = plugin("Once in a file, both texts with their NUL.");
inline constexpr rule names_itself = plugin("what the config file writes in `use = \"...\"`");
inline constexpr rule documents_keys = config("one sentence; printed in errors and in the docs");
inline constexpr rule one_entry = plugin("The one exported symbol.");

// ---- the plugin's file ----

inline constexpr rule is_shared_object = plugin("A shared object for the host's machine");
inline constexpr rule exports_entry = plugin("nothing is exported beside the entry, version nodes aside");
inline constexpr rule never_unloaded = plugin("it is never unloaded: -z nodelete");
inline constexpr rule read_only_tables = plugin("what the loader has written is read-only from then on");
inline constexpr rule code_stays = plugin("no code is ever written to");
inline constexpr rule plain_stack = plugin("it does not ask for an executable stack");
inline constexpr rule named_libraries = plugin("every symbol comes from a library that it names itself");
inline constexpr rule no_host_library = plugin("no library of the host's is among those");

} // namespace hedwig::check::rules
