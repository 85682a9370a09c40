// SPDX-License-Identifier: Apache-2.0
// A whole session, fed by bytes. However they are cut, and whether or not the message is staged on its way, replies,
// questions and stored messages are the same.
// Input: two octets for scene_of(), one seed of the cuts, then the client's bytes with the owner's events in between.
#include "tests/fuzz/session_player.hpp"

namespace hedwig::fuzz {

void session(std::string_view input) {
  auto options = take_octet(input);
  auto scene = scene_of(options, take_octet(input));
  auto seed = 2u + take_octet(input);
  auto whole = play_session(scene, input);
  for (auto cuts : {cut_everywhere, seed})
    for (auto staged : {false, true}) {
      scene.cuts = cuts;
      scene.staged = staged;
      demand(play_session(scene, input) == whole, "the same at every cut");
    }
}

} // namespace hedwig::fuzz
