// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "loader/plan/step.hpp"

namespace sheath::plan {

// The parts of a plan that concern the IPsec engine, in the order in which the planner calls them. Which state is due
// when is the rotation's to say (rotation.hpp); here its moves become steps.

void plan_ipsec_device(const Ipsec& desired, const IpsecActual& actual, Plan& plan);
// When its programs are attached.
void plan_ipsec_up(const IpsecActual& actual, Plan& plan);
// What stops, then receive and transmit states, the record, policies, what is used, probes, a draw. `maps` follows.
void plan_ipsec_additions(const Ipsec& desired, const IpsecActual& actual, Maps& maps, Plan& plan);
// What is retired, a pause before the receive states of it, policies for pod CIDRs that a peer no longer has, and the
// private halves that nobody needs any more.
void plan_ipsec_removals(const Ipsec& desired, const IpsecActual& actual, Maps& maps, Plan& plan);
// Everything of the engine, when another one has taken over or nothing is to be left.
void plan_ipsec_removal(const IpsecActual& actual, Plan& plan);

// A state of a peer for one generation: both have a session of it, and the peer has ends.
EspState state_of(const Ipsec& desired, const std::string& peer, StateUse use, std::uint8_t generation);
// The policies of a peer for one generation: of the own session there is.
std::set<EspPolicy> policies_of(const Ipsec& desired, const std::string& peer, std::uint8_t generation);

}  // namespace sheath::plan
