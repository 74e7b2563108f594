// SPDX-License-Identifier: Apache-2.0
#include "loader/bpf/audit.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "loader/bpf/error.hpp"
#include "loader/bpf/object.hpp"
#include "maps/lengths.hpp"

namespace sheath::bpf {
namespace {

constexpr const char* kDoing = "load the audit";

Result<PinnedMaps> tables_of(const Object& object) {
  PinnedMaps::Fds fds;
  for (const char* name : {"node_ips", "pod_cidrs4", "pod_cidrs6", "peers"}) {
    UniqueFd fd(fcntl(bpf_object__find_map_fd_by_name(object.get(), name), F_DUPFD_CLOEXEC, 0));
    if (!fd) return fail(kernel_error(std::string("open map ") + name, errno));
    fds.emplace(name, std::move(fd));
  }
  return PinnedMaps::adopt(std::move(fds));
}

Result<> fill(PinnedMaps maps, const AuditTables& tables) {
  if (auto set = maps.set_node_ips(tables.node_ips); !set) return set;
  if (auto set = maps.set_pod_cidrs(tables.pod_cidrs); !set) return set;
  return maps.set_peers(tables.peers);
}

// An audit that did not know all prefixes would not see all plaintext.
Result<sheath_config> with_lengths(sheath_config config, const AuditTables& tables) {
  std::vector<Cidr> prefixes;
  for (const auto& [cidr, owner] : tables.pod_cidrs) prefixes.push_back(cidr);
  const auto lengths = maps::lengths_of(prefixes, {});
  if (maps::more_than(SHEATH_MAX_LENGTHS, lengths)) {
    return fail("the pod CIDRs of a family have more than " + std::to_string(SHEATH_MAX_LENGTHS) +
                " different lengths");
  }
  maps::put_lengths(lengths, config);
  return config;
}

int on_record(void* context, void* data, std::size_t size) {
  const auto& show = *static_cast<const std::function<void(const sheath_event&)>*>(context);
  sheath_event event{};
  if (size < sizeof event) return 0;
  std::memcpy(&event, data, sizeof event);
  if (show) show(event);
  return 0;
}

}  // namespace

void Audit::Close::operator()(bpf_object* object) const {
  bpf_object__close(object);
}

void Audit::Close::operator()(ring_buffer* ring) const {
  ring_buffer__free(ring);
}

Audit::Audit(Audit&&) noexcept = default;
Audit& Audit::operator=(Audit&&) noexcept = default;
Audit::~Audit() = default;

Result<Audit> Audit::load(const sheath_config& config, const AuditTables& tables) {
  auto object = open_object(audit_image(), "audit");
  if (!object) return fail(std::move(object.error()).context(kDoing));
  const auto known = with_lengths(config, tables);
  if (!known) return fail(Error(known.error()).context(kDoing));
  if (auto set = set_config(*object, *known); !set) return fail(std::move(set.error()).context(kDoing));
  Audit audit;
  auto program = load_object(*object);
  if (!program) return fail(std::move(program.error()).context(kDoing));
  audit.program_ = std::move(*program);
  auto maps = tables_of(*object);
  if (!maps) return fail(std::move(maps.error()).context(kDoing));
  if (auto filled = fill(std::move(*maps), tables); !filled) return fail(std::move(filled.error()).context(kDoing));
  audit.counters_fd_ = bpf_object__find_map_fd_by_name(object->get(), "audited");
  audit.show_ = std::make_unique<Show>();
  const int events = bpf_object__find_map_fd_by_name(object->get(), "events");
  audit.ring_.reset(ring_buffer__new(events, on_record, audit.show_.get(), nullptr));
  if (!audit.ring_) return fail(kernel_error("open the ring buffer of the audit", errno));
  audit.object_.reset(object->release());
  return audit;
}

Result<> Audit::wait(std::chrono::milliseconds time, const std::function<void(const sheath_event&)>& show) {
  *show_ = show;
  const int polled = ring_buffer__poll(ring_.get(), static_cast<int>(time.count()));
  *show_ = nullptr;
  if (polled < 0 && polled != -EINTR) return fail(kernel_error("read what the audit found", polled));
  return {};
}

Result<sheath_audit> Audit::counters() const {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return fail(kernel_error("count the CPUs", cpus));
  std::vector<sheath_audit> values(static_cast<std::size_t>(cpus));
  const std::uint32_t key = 0;
  if (bpf_map_lookup_elem(counters_fd_, &key, values.data()) != 0) {
    return fail(kernel_error("read the counters of the audit", errno));
  }
  sheath_audit sum{};
  for (const auto& value : values) {
    sum.packets += value.packets;
    sum.plaintext += value.plaintext;
    sum.masqueraded += value.masqueraded;
  }
  return sum;
}

}  // namespace sheath::bpf
