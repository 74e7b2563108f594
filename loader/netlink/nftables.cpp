// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink/nftables.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "loader/netlink/attributes.hpp"
#include "loader/netlink/backstop.hpp"
#include "loader/netlink/lines.hpp"

namespace sheath::netlink {
namespace {

constexpr std::uint16_t message_type(int message) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

// nf_tables sends its numbers in network order.
std::optional<std::uint32_t> big_endian(const Attributes& attributes, int type) {
  const auto value = attributes.u32(type);
  return value ? std::optional(ntohl(*value)) : std::nullopt;
}

// One device, or a list of them.
Result<std::vector<std::string>> decode_devices(const Attributes& hook) {
  std::vector<std::string> out;
  if (const auto device = hook.string(NFTA_HOOK_DEV)) out.push_back(*device);
  const auto list = hook.nested(NFTA_HOOK_DEVS);
  if (!list) return fail(list.error());
  for (const Attribute& item : list->all()) {
    std::string name(item.value.begin(), item.value.end());
    name.resize(std::min(name.find('\0'), name.size()));
    if (std::ranges::find(out, name) == out.end()) out.push_back(std::move(name));
  }
  return out;
}

// What nfnetlink answers for a subsystem that the kernel does not have.
bool is_unknown(const Error& error) {
  return error.error_number() == EINVAL || error.error_number() == EOPNOTSUPP;
}

Message get_all(int type) {
  Message message(message_type(type));
  message.put_struct(nfgenmsg{NFPROTO_UNSPEC, NFNETLINK_V0, 0});
  return message;
}

}  // namespace

Result<std::optional<NftTable>> decode_nft_table(const Reply& reply) {
  if (reply.type != message_type(NFT_MSG_NEWTABLE)) return std::nullopt;
  const auto message = parse_message<nfgenmsg>(reply.payload);
  if (!message) return fail(message.error());
  const auto name = message->attributes.string(NFTA_TABLE_NAME);
  if (!name) return fail("nft table has no name");
  const std::uint32_t flags = big_endian(message->attributes, NFTA_TABLE_FLAGS).value_or(0);
  const auto user_data = message->attributes.find(NFTA_TABLE_USERDATA).value_or(Bytes{});
  return NftTable{
      message->header.nfgen_family, *name, (flags & NFT_TABLE_F_DORMANT) != 0, {user_data.begin(), user_data.end()}};
}

Result<std::optional<NftBaseChain>> decode_nft_chain(const Reply& reply) {
  if (reply.type != message_type(NFT_MSG_NEWCHAIN)) return std::nullopt;
  const auto message = parse_message<nfgenmsg>(reply.payload);
  if (!message) return fail(message.error());
  const auto& [header, attributes] = *message;
  if (!attributes.find(NFTA_CHAIN_HOOK)) return std::nullopt;
  const auto hook = attributes.nested(NFTA_CHAIN_HOOK);
  if (!hook) return fail(hook.error());
  const auto number = big_endian(*hook, NFTA_HOOK_HOOKNUM);
  const auto rules = big_endian(attributes, NFTA_CHAIN_USE);
  auto devices = decode_devices(*hook);
  if (!devices) return fail(std::move(devices.error()));

  NftBaseChain chain;
  chain.family = header.nfgen_family;
  chain.table = attributes.string(NFTA_CHAIN_TABLE).value_or("");
  chain.name = attributes.string(NFTA_CHAIN_NAME).value_or("");
  if (!number || !rules) return fail("nft chain " + chain.table + " " + chain.name + " is malformed");
  chain.type = attributes.string(NFTA_CHAIN_TYPE).value_or("");
  chain.hook = *number;
  chain.rules = *rules;
  chain.policy_drop = big_endian(attributes, NFTA_CHAIN_POLICY).value_or(NF_ACCEPT) == NF_DROP;
  chain.devices = std::move(*devices);
  return chain;
}

Result<bool> nf_tables_is_unloaded_module() {
  std::error_code ignored;
  if (std::filesystem::exists("/sys/module/nf_tables", ignored)) return false;
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

Result<bool> has_nf_tables() {
  const auto unloaded = nf_tables_is_unloaded_module();
  if (!unloaded) return fail(unloaded.error());
  if (*unloaded) return true;
  auto socket = Socket::open(NETLINK_NETFILTER);
  if (!socket && socket.error().error_number() == EPROTONOSUPPORT) return false;
  if (!socket) return fail(std::move(socket.error()));
  Message message = get_all(NFT_MSG_GETTABLE);
  const auto done = socket->dump(message, [] {}, {});
  if (done) return true;
  if (is_unknown(done.error())) return false;
  return fail(Error(done.error()).context("look for nf_tables"));
}

Result<std::vector<NftTable>> list_nft_tables(Socket& socket) {
  Message message = get_all(NFT_MSG_GETTABLE);
  auto tables = dump_list<NftTable>(socket, message, decode_nft_table);
  if (tables) return tables;
  if (is_unknown(tables.error())) return std::vector<NftTable>{};
  return fail(std::move(tables.error()).context("list nft tables"));
}

Result<std::vector<NftBaseChain>> list_nft_base_chains(Socket& socket) {
  const auto tables = list_nft_tables(socket);
  if (!tables) return fail(tables.error());
  if (tables->empty()) return std::vector<NftBaseChain>{};
  Message message = get_all(NFT_MSG_GETCHAIN);
  auto chains = dump_list<NftBaseChain>(socket, message, decode_nft_chain);
  if (!chains) return fail(std::move(chains.error()).context("list nft chains"));
  std::erase_if(*chains, [](const NftBaseChain& c) { return c.family == NFPROTO_INET && c.table == kBackstopTable; });
  for (NftBaseChain& chain : *chains) {
    const auto is_its_table = [&](const NftTable& t) { return t.family == chain.family && t.name == chain.table; };
    const auto table = std::ranges::find_if(*tables, is_its_table);
    chain.dormant = table != tables->end() && table->dormant;
  }
  return chains;
}

}  // namespace sheath::netlink
