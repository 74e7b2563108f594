// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/netfilter.hpp"

#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "loader/netlink/ipvs.hpp"
#include "loader/netlink/nftables.hpp"
#include "loader/netlink/xtables.hpp"

namespace sheath::netlink {
namespace {

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
