// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/state/document.hpp"
#include "loader/state/node.hpp"

// The fields of node objects. Errors are misuses, `status.addresses[1].address: reason`.
namespace sheath::state {

// A place in an object: what is there (null: nothing) and its path for messages.
struct Field {
  const Value* value = nullptr;
  std::string path;
};

// The member `name`, absent where it or `parent` is. An error when it is of another kind.
Result<Field> member(const Field& parent, std::string_view name, Value::Kind kind);
// The text of a member; "" where it is absent.
Result<std::string> text_member(const Field& parent, std::string_view name);
// The elements of the list `name`, each of `kind`; none where it is absent.
Result<std::vector<Field>> elements(const Field& parent, std::string_view name, Value::Kind kind);

// What the object says about its node.
Result<Node> read_node(const Value& object);
Result<Node> read_cilium_node(const Value& object);

}  // namespace sheath::state
