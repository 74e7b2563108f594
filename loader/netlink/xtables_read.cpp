// SPDX-License-Identifier: Apache-2.0
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "loader/base/unique_fd.hpp"
#include "loader/netlink/lines.hpp"
#include "loader/netlink/xtables.hpp"

namespace sheath::netlink {
namespace {

// The two families' requests differ in numbers only.
static_assert(sizeof(ipt_getinfo) == sizeof(ip6t_getinfo));
static_assert(offsetof(ipt_getinfo, size) == offsetof(ip6t_getinfo, size));
static_assert(offsetof(ipt_get_entries, entrytable) == offsetof(ip6t_get_entries, entrytable));

struct Access {
  int domain;
  int level;
  int get_info;
  int get_entries;
  const char* names_path;
};

Access access_of(Family family) {
  if (family == Family::kIpv4) {
    return {AF_INET, IPPROTO_IP, IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES, "/proc/thread-self/net/ip_tables_names"};
  }
  return {AF_INET6, IPPROTO_IPV6, IP6T_SO_GET_INFO, IP6T_SO_GET_ENTRIES, "/proc/thread-self/net/ip6_tables_names"};
}

struct Table {
  XtablesInfo info;
  // An ipt_get_entries with the entries behind it.
  std::vector<std::uint8_t> entries;
};

void copy_name(char (&to)[XT_TABLE_MAXNAMELEN], const std::string& name) {
  name.copy(to, sizeof to - 1);
}

bool read_info(int fd, const Access& access, const std::string& table, ipt_getinfo& info) {
  info = {};
  copy_name(info.name, table);
  socklen_t size = sizeof info;
  return getsockopt(fd, access.level, access.get_info, &info, &size) == 0;
}

bool read_entries(int fd, const Access& access, const std::string& table, std::vector<std::uint8_t>& buffer,
                  unsigned size) {
  ipt_get_entries head{};
  copy_name(head.name, table);
  head.size = size;
  buffer.assign(offsetof(ipt_get_entries, entrytable) + size, 0);
  std::memcpy(buffer.data(), &head, offsetof(ipt_get_entries, entrytable));
  auto length = static_cast<socklen_t>(buffer.size());
  return getsockopt(fd, access.level, access.get_entries, buffer.data(), &length) == 0;
}

XtablesInfo info_of(const ipt_getinfo& raw) {
  XtablesInfo info;
  info.valid_hooks = raw.valid_hooks;
  for (std::size_t hook = 0; hook < info.hook_entry.size(); ++hook) {
    info.hook_entry[hook] = raw.hook_entry[hook];
    info.underflow[hook] = raw.underflow[hook];
  }
  return info;
}

// EAGAIN: the table has got another size since it was asked for.
Result<Table> read_table(int fd, const Access& access, const std::string& name) {
  constexpr int kAttempts = 16;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Table table;
    ipt_getinfo info;
    if (!read_info(fd, access, name, info)) break;
    if (read_entries(fd, access, name, table.entries, info.size)) {
      table.info = info_of(info);
      return table;
    }
    if (errno != EAGAIN) break;
  }
  const int number = errno;
  auto error = Error::system("read table " + name, number);
  return fail(number == EPERM ? std::move(error).hint("needs CAP_NET_ADMIN") : error);
}

}  // namespace

Result<std::vector<FilterFinding>> list_xtables_filters(Family family) {
  const Access access = access_of(family);
  const auto names = read_lines(access.names_path);
  if (!names) return fail(names.error());
  std::vector<FilterFinding> out;
  if (names->empty()) return out;
  const UniqueFd fd(socket(access.domain, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  if (!fd) return fail(Error::system("open a raw socket", errno));
  for (const std::string& name : *names) {
    const auto table = read_table(fd.get(), access, name);
    if (!table) return fail(table.error());
    const auto entries = Bytes(table->entries).subspan(offsetof(ipt_get_entries, entrytable));
    auto findings = judge_xtable(family, name, table->info, entries);
    if (!findings) return fail(std::move(findings.error()));
    out.insert(out.end(), findings->begin(), findings->end());
  }
  return out;
}

}  // namespace sheath::netlink
