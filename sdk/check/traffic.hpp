// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "sdk/check/instance.hpp"
#include "sdk/check/shown.hpp"

namespace hedwig::check {

/// A few typical requests, whichever interface the provider has, and what came back: a status, or a filter's action.
/// What that must be is for the suite of the interface. An interface that the kit does not know gets none.
///
/// On a thread of its own, of the class that the provider is called on. Throws broken when one is not completed.
std::vector<std::string> converse(context& run, instance& with, unsigned number, shape structs = shape::plain);

/// The same from several threads at once, each with users and sessions of its own.
std::vector<std::string> converse_at_once(context& run, instance& with, unsigned threads);

} // namespace hedwig::check
