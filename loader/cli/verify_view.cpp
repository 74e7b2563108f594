// SPDX-License-Identifier: Apache-2.0
#include "loader/cli/verify_view.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

namespace sheath::cli {
namespace {

using verify::Conclusion;
using verify::Finding;
using verify::Verdict;
using Findings = std::span<const Finding>;
using Json = nlohmann::ordered_json;

constexpr const char* kAsConfigured = "plaintext, as configured";
// Of one cause.
constexpr std::size_t kProbesShown = 12;

std::vector<Findings> by_peer(Findings all) {
  std::vector<Findings> groups;
  for (auto begin = all.begin(); begin != all.end();) {
    const auto end =
        std::find_if(begin, all.end(), [&](const Finding& f) { return f.probe.peer != begin->probe.peer; });
    groups.emplace_back(begin, end);
    begin = end;
  }
  return groups;
}

std::string verdict_text(const Finding& finding) {
  if (finding.verdict == Verdict::kPlaintext && !finding.probe.required) return kAsConfigured;
  return std::string(verify::verdict_name(finding.verdict));
}

std::string coloured(const std::string& verdict, const Style& style) {
  if (verdict == kAsConfigured) return verdict;
  return verdict == "encrypted" ? style.good(verdict) : style.bad(verdict);
}

// "encrypted" when all are; else each verdict with the families and kinds it holds for would be a list of its own,
// which stands below the table: here the worst one.
std::string summary(Findings peer, bool node_traffic, const Style& style) {
  for (const auto* worst : {"plaintext", "unreachable", kAsConfigured, "encrypted"}) {
    for (const auto& finding : peer) {
      if (verify::is_node_traffic(finding.probe.traffic) != node_traffic) continue;
      if (verdict_text(finding) == worst) return coloured(worst, style);
    }
  }
  return "-";
}

std::string wire_text(Findings peer) {
  std::set<std::string> kinds;
  for (const auto& finding : peer) {
    if (!finding.seen.outer.empty()) kinds.insert(finding.seen.outer);
    if (finding.seen.in_clear) kinds.insert("plaintext on " + finding.seen.in_clear->device);
  }
  return kinds.empty() ? "nothing" : joined({kinds.begin(), kinds.end()});
}

std::string peers_text(Findings all, const Style& style) {
  Table table({{"PEER"}, {"POD TRAFFIC"}, {"NODE TRAFFIC"}, {"SEEN ON THE WIRE"}});
  for (const auto peer : by_peer(all)) {
    table.add({peer.front().probe.peer, summary(peer, false, style), summary(peer, true, style), wire_text(peer)});
  }
  return table.text();
}

std::string verdict_and_cause(const Finding& finding, const Style& style) {
  auto verdict = std::string(verify::verdict_name(finding.verdict));
  if (finding.seen.in_clear) verdict += " on " + finding.seen.in_clear->device;
  return style.bad(verdict) + ": " + finding.why;
}

std::string probe_text(const verify::Probe& probe) {
  return probe.peer + ", " + std::string(verify::traffic_name(probe.traffic)) + ", " + probe.source.text() + " to " +
         probe.destination.text();
}

std::string probes_text(const std::vector<const Finding*>& findings) {
  std::string out;
  for (const auto* finding : std::span(findings).first(std::min(findings.size(), kProbesShown))) {
    out += "      " + probe_text(finding->probe) + "\n";
  }
  if (findings.size() <= kProbesShown) return out;
  return out + "      and " + std::to_string(findings.size() - kProbesShown) + " more: -o json has them all\n";
}

// By cause, in the order in which they come up: one cause can concern every peer.
std::string wrong_text(Findings all, const Style& style) {
  std::vector<std::string> causes;
  std::map<std::string, std::vector<const Finding*>> by_cause;
  for (const auto& finding : all) {
    if (!finding.probe.required || finding.verdict == Verdict::kEncrypted) continue;
    auto cause = verdict_and_cause(finding, style);
    auto& group = by_cause[cause];
    group.push_back(&finding);
    if (group.size() == 1) causes.push_back(std::move(cause));
  }
  std::string out;
  for (const auto& cause : causes) out += "  - " + cause + "\n" + probes_text(by_cause[cause]);
  return out.empty() ? "" : "\n" + style.bad("What is wrong") + "\n" + out;
}

std::string conclusion_text(Findings all, const Style& style) {
  const auto count = [&](auto matches) { return static_cast<std::size_t>(std::ranges::count_if(all, matches)); };
  const auto required = count([](const Finding& f) { return f.probe.required; });
  const auto encrypted = count([](const Finding& f) { return f.probe.required && f.verdict == Verdict::kEncrypted; });
  const auto of = std::to_string(encrypted) + " of the " + counted(required, "probe") + " that should be";
  switch (verify::conclude({all.begin(), all.end()})) {
    case Conclusion::kProven:
      return style.good("encrypted") + ": " + of;
    case Conclusion::kNotProven:
      return style.bad("not proven") + ": encrypted are " + of + "; none was seen in the clear";
    case Conclusion::kPlaintext:
      return style.bad("plaintext") + ": encrypted are " + of;
  }
  return "";
}

const char* conclusion_name(Conclusion conclusion) {
  switch (conclusion) {
    case Conclusion::kProven:
      return "encrypted";
    case Conclusion::kNotProven:
      return "not_proven";
    case Conclusion::kPlaintext:
      return "plaintext";
  }
  return "";
}

std::string traffic_key(verify::Traffic traffic) {
  std::string key(verify::traffic_name(traffic));
  std::ranges::replace(key, ' ', '_');
  return key;
}

Json or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

Json probe_json(const Finding& finding) {
  const auto& [probe, verdict, seen, why] = finding;
  Json clear;
  if (seen.in_clear) {
    clear = {{"device", seen.in_clear->device},
             {"source", seen.in_clear->source ? Json(seen.in_clear->source->text()) : Json()}};
  }
  return {{"traffic", traffic_key(probe.traffic)},
          {"source", probe.source.text()},
          {"destination", probe.destination.text()},
          {"required", probe.required},
          {"verdict", verify::verdict_name(verdict)},
          {"why", or_null(why)},
          {"sent", seen.sent},
          {"in_clear", clear},
          {"entered_tunnel", seen.entered_tunnel},
          {"ciphertext", or_null(seen.outer)},
          {"answered", seen.answered}};
}

}  // namespace

std::string verify_text(const std::vector<Finding>& findings, const Style& style) {
  if (findings.empty()) return "no peers: nothing leaves this node that should be encrypted\n";
  return peers_text(findings, style) + wrong_text(findings, style) + "\n" + conclusion_text(findings, style) + "\n";
}

std::string verify_json(const std::string& node, const std::vector<Finding>& findings) {
  Json peers = Json::array();
  for (const auto peer : by_peer(findings)) {
    Json probes = Json::array();
    for (const auto& finding : peer) probes.push_back(probe_json(finding));
    peers.push_back({{"name", peer.front().probe.peer}, {"probes", probes}});
  }
  return json_text({{"node", node}, {"conclusion", conclusion_name(verify::conclude(findings))}, {"peers", peers}});
}

}  // namespace sheath::cli
