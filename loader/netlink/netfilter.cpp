// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/netfilter.hpp"

#include <linux/netlink.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "loader/netlink/ipvs.hpp"
#include "loader/netlink/lines.hpp"
#include "loader/netlink/nftables.hpp"
#include "loader/netlink/xtables.hpp"

namespace sheath::netlink {
namespace {

// Whether a message to nf_tables would make the kernel load it: it is a module of the running kernel and not there yet.
// Then no table can exist. If nobody can tell, the kernel is asked.
Result<bool> nf_tables_is_unloaded_module() {
  utsname kernel{};
  uname(&kernel);
  const auto modules = read_lines("/lib/modules/" + std::string(kernel.release) + "/modules.dep");
  if (!modules) return fail(modules.error());
  const auto is_module = [](const std::string& line) {
    return line.substr(0, line.find(':')).find("/nf_tables.ko") != std::string::npos;
  };
  if (std::ranges::none_of(*modules, is_module)) return false;
  const auto loaded = read_lines("/proc/modules");
  if (!loaded) return fail(loaded.error());
  return std::ranges::none_of(*loaded, [](const std::string& line) { return line.starts_with("nf_tables "); });
}

Result<std::vector<FilterFinding>> list_nftables() {
  const auto unloaded = nf_tables_is_unloaded_module();
  if (!unloaded) return fail(unloaded.error());
  std::vector<FilterFinding> out;
  if (*unloaded) return out;
  auto socket = Socket::open(NETLINK_NETFILTER);
  if (!socket && socket.error().error_number() == EPROTONOSUPPORT) return out;
  if (!socket) return fail(std::move(socket.error()));
  const auto chains = list_nft_base_chains(*socket);
  if (!chains) return fail(chains.error());
  for (const NftBaseChain& chain : *chains) {
    if (auto finding = judge_nft_chain(chain)) out.push_back(std::move(*finding));
  }
  return out;
}

}  // namespace

Result<std::vector<FilterFinding>> list_forward_filters() {
  using List = Result<std::vector<FilterFinding>> (*)();
  constexpr List kLists[] = {list_nftables, [] { return list_xtables_filters(Family::kIpv4); },
                             [] { return list_xtables_filters(Family::kIpv6); }, list_ipvs};
  std::vector<FilterFinding> out;
  for (const List list : kLists) {
    auto findings = list();
    if (!findings) return fail(std::move(findings.error()).context("look for packet filters"));
    out.insert(out.end(), std::make_move_iterator(findings->begin()), std::make_move_iterator(findings->end()));
  }
  return out;
}

}  // namespace sheath::netlink
