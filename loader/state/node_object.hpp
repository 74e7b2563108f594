// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/state/document.hpp"
#include "loader/state/node.hpp"

namespace sheath::state {

// Kinds of object that describe a node, from the least to the most trusted: fields of a later one win.
enum class ObjectKind {
  kNode,        // Kubernetes' own
  kCiliumNode,  // a CNI's
  kPublished,   // what the node's own Sheath published
};

// What one object says about one node; fields that it does not have are empty.
struct NodeObject {
  ObjectKind kind = ObjectKind::kNode;
  Node node;
  std::string where;  // for messages: `/etc/sheath/nodes/all.json: Node/kind-worker`

  bool operator==(const NodeObject&) const = default;
};

// One that cannot be used.
struct BadObject {
  std::string where;  // as in NodeObject, as far as it can be told
  Error error;
};

// Reads Node and CiliumNode objects (as ObjectKind kNode and kCiliumNode), single, in a List, NodeList or
// CiliumNodeList, or as several YAML documents. Anything else is refused: a file that is not about nodes is in the
// wrong folder. Errors are misuses with file, object, field and reason.
//
// Addresses are those of type InternalIP; the WireGuard key is the annotation network.cilium.io/wg-pub-key, or
// io.cilium.network.wg-pub-key as older Cilium wrote it. With `bad`, an object that is wrong goes there, and the others
// are read.
Result<std::vector<NodeObject>> parse_node_objects(std::string_view content, DocumentFormat format,
                                                   const std::string& file, std::vector<BadObject>* bad = nullptr);

// The CiliumNode object a node publishes: pretty JSON with a newline at its end, the same bytes for the same node.
std::string published_object(const Node& node);

}  // namespace sheath::state
