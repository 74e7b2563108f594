// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/plan/rotation_facts.hpp"

// The rules of the rotation. Private to rotation*.cpp.
namespace sheath::plan {

// Whether this node draws a session, or starts again (rotation_draw.cpp): the draw, what it waits for, wipes, and when
// time alone may change that.
void decide_draw(const ViewFacts& facts, RotationDecision& out);

// With a draw: what of a peer may not go on under `replaced`; 0: a draw that replaces nothing (rotation_pair.cpp).
PeerRotation stop_peer(const ViewFacts& facts, const std::string& name, const PeerView& peer, Generation replaced);
// Without: the moves of each peer, and what follows from all of them for the older session.
void decide_peers(const ViewFacts& facts, RotationDecision& out);

}  // namespace sheath::plan
