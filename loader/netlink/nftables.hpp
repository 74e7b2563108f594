// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loader/base/result.hpp"
#include "loader/netlink/netfilter.hpp"
#include "loader/netlink/socket.hpp"

// nf_tables base chains (nfnetlink; linux/netfilter/nf_tables.h). A socket here is one of NETLINK_NETFILTER.
namespace sheath::netlink {

struct NftBaseChain {
  // NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_INET, NFPROTO_BRIDGE, NFPROTO_NETDEV, NFPROTO_ARP.
  std::uint8_t family = 0;
  std::string table;
  std::string name;
  // "filter", "nat", "route".
  std::string type;
  // NF_INET_*, NF_BR_*, NF_NETDEV_*: the number's meaning depends on the family.
  std::uint32_t hook = 0;
  // Of a base chain nothing but its own rules holds a reference (jumps to one are refused): NFTA_CHAIN_USE counts them.
  std::uint32_t rules = 0;
  bool policy_drop = false;
  // Of a table that is switched off (NFT_TABLE_F_DORMANT).
  bool dormant = false;
  std::vector<std::string> devices;

  bool operator==(const NftBaseChain&) const = default;
};

struct NftTable {
  std::uint8_t family = 0;
  std::string name;
  bool dormant = false;
  std::vector<std::uint8_t> user_data;  // whatever its maker put there
};

// A reply of type NFT_MSG_NEWTABLE / NFT_MSG_NEWCHAIN; nullopt for any other and for a chain without a hook.
Result<std::optional<NftTable>> decode_nft_table(const Reply& reply);
Result<std::optional<NftBaseChain>> decode_nft_chain(const Reply& reply);

// Whether a message to nf_tables would make the kernel load it: it is a module of the running kernel and not there yet.
// Then no table can exist. If nobody can tell, the kernel is asked.
Result<bool> nf_tables_is_unloaded_module();

// As a module that can be loaded, or there already.
Result<bool> has_nf_tables();

// Of all families; none where the kernel has no nf_tables.
Result<std::vector<NftTable>> list_nft_tables(Socket& socket);
// Of all families, but for the backstop's.
Result<std::vector<NftBaseChain>> list_nft_base_chains(Socket& socket);

// Nothing for a chain that does nothing to forwarded packets.
std::optional<FilterFinding> judge_nft_chain(const NftBaseChain& chain);

}  // namespace sheath::netlink
