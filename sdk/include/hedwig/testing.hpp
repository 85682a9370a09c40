// SPDX-License-Identifier: Apache-2.0
// hedwig/testing.hpp - for a plugin's unit tests: a host whose clock the test moves, and calls that return values.
//
//   using namespace hedwig::sdk::testing;
//   mock_host host;
//   instance filter{host, provider_of(load("filter-mine.so"), "mine"), settings{{"limit", 3}}};
//   session client{filter};
//   HEDWIG_EXPECT(client.mail("a@example.org")->passes());
#pragma once

#include "testing/buffers.hpp"
#include "testing/mock_host.hpp"
#include "testing/provider.hpp"
#include "testing/settings.hpp"
