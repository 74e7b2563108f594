// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/encrypt_status.hpp"

#include <cinttypes>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "loader/cli/commands.hpp"
#include "loader/state/value_parsers.hpp"

namespace sheath::cli {
namespace {

using Json = nlohmann::ordered_json;
using Align = Table::Align;

const char* phase_name(plan::RotationPhase phase) {
  switch (phase) {
    case plan::RotationPhase::kWaiting:
      return "waiting";
    case plan::RotationPhase::kPublished:
      return "published";
    case plan::RotationPhase::kInstalled:
      return "installed";
    case plan::RotationPhase::kProbing:
      return "probing";
    case plan::RotationPhase::kSwitched:
      return "switched";
    case plan::RotationPhase::kRetiring:
      return "retiring";
    case plan::RotationPhase::kSteady:
      return "steady";
  }
  return "";
}

std::string hex(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%" PRIx64, value);
  return text;
}

std::string listed(const std::vector<std::uint8_t>& ids) {
  std::string out;
  for (const auto id : ids) out += (out.empty() ? "" : ", ") + std::to_string(id);
  return out.empty() ? "-" : out;
}

std::string id_or_dash(std::uint8_t id) {
  return id == 0 ? "-" : std::to_string(id);
}

std::string field(std::string_view name, const std::string& value) {
  auto label = std::string(name) + ":";
  label.resize(20, ' ');
  return label + value + "\n";
}

std::string keys_text(const engine::EncryptStatus& status) {
  std::string out = std::to_string(status.keys.size());
  std::string ids;
  for (const auto& key : status.keys) ids += (ids.empty() ? "" : ", ") + std::to_string(key.id);
  return ids.empty() ? out : out + " (" + ids + ")";
}

std::string errors_text(const engine::EncryptStatus& status) {
  std::uint64_t sum = 0;
  for (const auto& [name, count] : status.errors) sum += count;
  std::string out = field("Errors", std::to_string(sum));
  for (const auto& [name, count] : status.errors) out += "  " + name + ": " + std::to_string(count) + "\n";
  return out;
}

std::string key_table(const engine::EncryptStatus& status) {
  Table table({{"KEY", Align::kRight},
               {"DATA TO", Align::kRight},
               {"TRANSMIT", Align::kRight},
               {"RECEIVE", Align::kRight},
               {"AGE", Align::kRight},
               {"KEY FILE'S", Align::kRight}});
  for (const auto& key : status.keys) {
    table.add({std::to_string(key.id), std::to_string(key.peers_sent_to) + " peers",
               std::to_string(key.transmit_states), std::to_string(key.receive_states),
               key.age ? state::duration_text(*key.age) : "-",
               key.key_file_id ? std::to_string(*key.key_file_id) : "-"});
  }
  return table.empty() ? "" : "\nKeys\n" + table.text(2);
}

std::string peer_table(const engine::EncryptStatus& status) {
  Table table({{"ID", Align::kRight},
               {"NODE"},
               {"STATE"},
               {"SENDS ON"},
               {"RECEIVES ON"},
               {"HEARD ON"},
               {"SENT", Align::kRight},
               {"RECEIVED", Align::kRight}});
  for (const auto& peer : status.peers) {
    std::string phase = peer.phase ? phase_name(*peer.phase) : "-";
    if (peer.next != 0 && peer.next != peer.sends_on) phase += ", next " + std::to_string(peer.next);
    table.add({std::to_string(peer.node_id), peer.name.empty() ? "-" : peer.name, phase, id_or_dash(peer.sends_on),
               listed(peer.receives_on), listed(peer.heard_on), hex(peer.sent_sequence), hex(peer.received_sequence)});
  }
  return table.empty() ? "" : "\nPeers\n" + table.text(2);
}

std::string text_of(const engine::EncryptStatus& status) {
  if (!status.ipsec)
    return field("Encryption", status.wireguard ? "Wireguard (`sheath status` has its peers)" : "Disabled");
  auto out = field("Encryption", "IPsec" + (status.algorithm.empty() ? "" : ", " + status.algorithm));
  out += field("Keys in use", keys_text(status));
  out += field("Max. sequence", hex(status.max_sequence) + " of 0xffffffffffffffff");
  if (status.key_file_id != 0) {
    out +=
        field("Key file", "key " + std::to_string(status.key_file_id) + ", fingerprint " + status.key_file_fingerprint);
  }
  out += errors_text(status) + key_table(status) + peer_table(status);
  if (!status.waits.empty()) out += "\nWaits\n";
  for (const auto& wait : status.waits) out += "  - " + wait + "\n";
  return out;
}

Json keys_json(const engine::EncryptStatus& status) {
  Json list = Json::array();
  for (const auto& key : status.keys) {
    list.push_back({{"id", key.id},
                    {"peers_sent_to", key.peers_sent_to},
                    {"transmit_states", key.transmit_states},
                    {"receive_states", key.receive_states},
                    {"age_seconds", key.age ? Json(key.age->count()) : Json()},
                    {"key_file_id", key.key_file_id ? Json(*key.key_file_id) : Json()}});
  }
  return list;
}

Json peers_json(const engine::EncryptStatus& status) {
  Json list = Json::array();
  for (const auto& peer : status.peers) {
    list.push_back({{"node_id", peer.node_id},
                    {"name", peer.name.empty() ? Json() : Json(peer.name)},
                    {"state", peer.phase ? Json(phase_name(*peer.phase)) : Json()},
                    {"sends_on", peer.sends_on == 0 ? Json() : Json(peer.sends_on)},
                    {"next", peer.next == 0 ? Json() : Json(peer.next)},
                    {"receives_on", peer.receives_on},
                    {"heard_on", peer.heard_on},
                    {"sent_sequence", peer.sent_sequence},
                    {"received_sequence", peer.received_sequence}});
  }
  return list;
}

std::string json_of(const engine::EncryptStatus& status) {
  const char* encryption = "none";
  if (status.wireguard) encryption = "wireguard";
  if (status.ipsec) encryption = "ipsec";
  return json_text({{"encryption", encryption},
                    {"algorithm", status.algorithm.empty() ? Json() : Json(status.algorithm)},
                    {"key_file_id", status.key_file_id == 0 ? Json() : Json(status.key_file_id)},
                    {"key_file_fingerprint", status.key_file_fingerprint},
                    {"keys", keys_json(status)},
                    {"max_sequence", status.max_sequence},
                    {"errors", status.errors},
                    {"peers", peers_json(status)},
                    {"waits", status.waits}});
}

bool is_degraded(const engine::EncryptStatus& status) {
  if (!status.ipsec) return false;
  for (const auto& peer : status.peers) {
    if (peer.sends_on == 0 && !peer.name.empty()) return true;
  }
  return false;
}

Result<Outcome> run_encrypt_status(const Invocation& invocation) {
  const auto loaded = state::load_config(invocation.config);
  if (!loaded) return fail(loaded.error());
  const auto status = engine::encrypt_status(loaded->config);
  if (!status) return fail(status.error());
  for (const auto& warning : status->warnings) warn(warning);
  return Outcome{invocation.json() ? json_of(*status) : text_of(*status), is_degraded(*status) ? kDegraded : kDone};
}

}  // namespace

Command encrypt_status_command() {
  return {.name = "encrypt status",
          .summary = "IPsec: keys in use, sequence numbers, errors, and a rotation that is on its way",
          .arguments = "",
          .details =
              "Two keys are in use during a rotation, one before and after. A peer's state is steady, or says how\n"
              "far the rotation is with it. Errors are the kernel's counters of /proc/net/xfrm_stat, by name.\n"
              "Exit code 3 when nothing can be sent to a peer.",
          .options = {},
          .examples = {{"sheath encrypt status", ""}, {"sheath encrypt status -o json", ""}},
          .run = run_encrypt_status};
}

}  // namespace sheath::cli
