// SPDX-License-Identifier: Apache-2.0
#include "loader/plan/node_traffic.hpp"

#include <algorithm>

namespace sheath::plan {
namespace {

bool takes_part(const NodeTrafficView& view, const NodeTrafficView::Peer& peer) {
  return !view.opted_out && !peer.opted_out;
}

sheath_node_traffic level_of(const NodeTrafficView& view, const NodeTrafficView::Peer& peer) {
  if (!takes_part(view, peer)) return SHEATH_NODE_TRAFFIC_plain;
  if (!view.on && !view.published && !peer.published) return SHEATH_NODE_TRAFFIC_plain;
  const bool require = view.on && view.published && peer.published && peer.level != SHEATH_NODE_TRAFFIC_plain;
  return require ? SHEATH_NODE_TRAFFIC_required : SHEATH_NODE_TRAFFIC_encrypted;
}

bool sends_to_all(const NodeTrafficView& view) {
  return std::ranges::all_of(view.peers, [&](const auto& entry) {
    return !takes_part(view, entry.second) || entry.second.level != SHEATH_NODE_TRAFFIC_plain;
  });
}

bool requires_of_any(const NodeTrafficView& view) {
  return std::ranges::any_of(view.peers,
                             [](const auto& entry) { return entry.second.level == SHEATH_NODE_TRAFFIC_required; });
}

NodeTraffic one_step(const NodeTrafficView& view) {
  NodeTraffic out;
  for (const auto& [name, peer] : view.peers) out.levels[name] = level_of(view, peer);
  out.publish = view.on ? view.published || sends_to_all(view) : view.published && requires_of_any(view);
  return out;
}

// What the view is once the step is done and nobody else has moved.
NodeTrafficView after(NodeTrafficView view, const NodeTraffic& step) {
  view.published = step.publish;
  for (auto& [name, peer] : view.peers) peer.level = step.levels.at(name);
  return view;
}

}  // namespace

NodeTraffic decide_node_traffic(const NodeTrafficView& view) {
  auto now = one_step(view);
  const auto next = one_step(after(view, now));
  now.pending = next.publish != now.publish || next.levels != now.levels;
  return now;
}

}  // namespace sheath::plan
