// SPDX-License-Identifier: Apache-2.0
#include "selftests/harness/datapath.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>
#include <stdexcept>
#include <utility>

#include "loader/base/address.hpp"
#include "maps.skel.h"
#include "maps/keys.hpp"
#include "maps/lengths.hpp"
#include "maps/own_pods.hpp"
#include "overlay_egress.skel.h"
#include "pod_egress.skel.h"
#include "tunnel_ingress.skel.h"
#include "uplink_egress.skel.h"
#include "uplink_ingress.skel.h"

namespace sheath::test {
namespace {

using ElfBytes = const void* (*)(std::size_t*);

struct ProgramSource {
  const char* name;
  ElfBytes bytes;
};

// In the order of sheath_direction.
constexpr ProgramSource kPrograms[] = {
#define SHEATH_PROGRAM_SOURCE(name, doc) {#name, ::name::elf_bytes},
    SHEATH_DIRECTIONS(SHEATH_PROGRAM_SOURCE)
#undef SHEATH_PROGRAM_SOURCE
};

[[noreturn]] void give_up(const std::string& doing, int error) {
  throw std::runtime_error(doing + ": " + std::strerror(error < 0 ? -error : error));
}

bpf_object* open_object(ElfBytes elf) {
  std::size_t size = 0;
  const void* bytes = elf(&size);
  bpf_object* object = bpf_object__open_mem(bytes, size, nullptr);
  if (object == nullptr) give_up("open object", errno);
  return object;
}

void set_config(bpf_map* rodata, const sheath_config& config) {
  const int error = bpf_map__set_initial_value(rodata, &config, sizeof(config));
  if (error != 0) give_up("set the constants", error);
}

int collect(void* context, void* data, std::size_t size) {
  if (size != sizeof(sheath_event)) return -EINVAL;
  static_cast<std::vector<sheath_event>*>(context)->push_back(*static_cast<const sheath_event*>(data));
  return 0;
}

int program_in(const bpf_object* object, const char* name) {
  const bpf_program* program = bpf_object__find_program_by_name(object, name);
  if (program == nullptr) throw std::runtime_error(std::string("no program ") + name);
  return bpf_program__fd(program);
}

IpAddress parse_address(const std::string& text) {
  auto address = IpAddress::parse(text);
  if (!address) throw std::invalid_argument(text);
  return *address;
}

}  // namespace

void Datapath::Close::operator()(bpf_object* object) const {
  bpf_object__close(object);
}
void Datapath::Close::operator()(ring_buffer* ring) const {
  ring_buffer__free(ring);
}

Datapath::Datapath(const sheath_config& config) : config_(config), maps_(open_object(::maps::elf_bytes)) {
  const int error = bpf_object__load(maps_.get());
  if (error != 0) give_up("load the maps", error);
  ring_.reset(ring_buffer__new(map("events"), collect, &events_, nullptr));
  if (!ring_) give_up("open the ring buffer", errno);
}

Datapath::~Datapath() = default;

int Datapath::map(const char* name) const {
  const bpf_map* found = bpf_object__find_map_by_name(maps_.get(), name);
  if (found == nullptr) throw std::runtime_error(std::string("no map ") + name);
  return bpf_map__fd(found);
}

void Datapath::put(const char* map_name, const void* key, const void* value) {
  if (bpf_map_update_elem(map(map_name), key, value, BPF_ANY) != 0) give_up(map_name, errno);
}

void Datapath::add_pods(const std::string& text, sheath_kind kind, std::uint16_t node_id) {
  const auto cidr = Cidr::parse(text);
  if (!cidr) throw std::invalid_argument(text);
  const sheath_owner owner{kind, node_id, 0};
  prefixes_.push_back(*cidr);
  programs_.clear();
  if (cidr->address.family == Family::kIpv4) {
    const sheath_prefix4 key = maps::to_prefix4(*cidr);
    put("pod_cidrs4", &key, &owner);
  } else {
    const sheath_prefix6 key = maps::to_prefix6(*cidr);
    put("pod_cidrs6", &key, &owner);
  }
}

void Datapath::add_node(const std::string& address, sheath_kind kind, std::uint16_t node_id) {
  const sheath_addr key = maps::to_key(parse_address(address));
  const sheath_owner owner{kind, node_id, 0};
  put("node_ips", &key, &owner);
}

void Datapath::set_peer(std::uint32_t node_id, const sheath_peer& peer) {
  put("peers", &node_id, &peer);
}

void Datapath::add_endpoint(const std::string& address, const sheath_endpoint& endpoint) {
  const sheath_addr key = maps::to_key(parse_address(address));
  put("endpoints", &key, &endpoint);
  pods_.insert(Cidr::host(parse_address(address)));
}

std::optional<sheath_heard> Datapath::heard(std::uint32_t node_id) const {
  sheath_heard value{};
  if (bpf_map_lookup_elem(map("heard"), &node_id, &value) == 0) return value;
  if (errno != ENOENT) give_up("heard", errno);
  return std::nullopt;
}

void Datapath::forget(std::uint32_t node_id) {
  if (bpf_map_delete_elem(map("heard"), &node_id) != 0 && errno != ENOENT) give_up("heard", errno);
}

sheath_withheld Datapath::withheld(const sheath_withheld_key& key) const {
  sheath_withheld value{};
  if (bpf_map_lookup_elem(map("withheld"), &key, &value) != 0 && errno != ENOENT) give_up("withheld", errno);
  return value;
}

std::uint64_t Datapath::withheld_packets() const {
  std::uint64_t packets = 0;
  sheath_withheld_key key{};
  sheath_withheld_key next{};
  const sheath_withheld_key* previous = nullptr;
  while (bpf_map_get_next_key(map("withheld"), previous, &next) == 0) {
    packets += withheld(next).packets;
    key = next;
    previous = &key;
  }
  return packets;
}

Datapath::Object Datapath::load(sheath_direction direction, const sheath_config& config) const {
  Object object(open_object(kPrograms[direction].bytes));
  sheath_config known = config;
  maps::put_lengths(maps::lengths_of(prefixes_, {}), known);
  const bool knows_senders = known.own4_count + known.own6_count > 0;
  if (direction == SHEATH_DIRECTION_pod_egress && knows_senders) maps::put_own_pods(pods_, known);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object.get()) {
    const bpf_map* shared = bpf_object__find_map_by_name(maps_.get(), bpf_map__name(map));
    if (shared != nullptr) {
      if (const int error = bpf_map__reuse_fd(map, bpf_map__fd(shared)); error != 0) give_up("share a map", error);
    } else {
      set_config(map, known);
    }
  }
  if (const int error = bpf_object__load(object.get()); error != 0) give_up(kPrograms[direction].name, error);
  return object;
}

int Datapath::program(sheath_direction direction) {
  auto found = programs_.find(direction);
  if (found == programs_.end()) found = programs_.emplace(direction, load(direction, config_)).first;
  return program_in(found->second.get(), kPrograms[direction].name);
}

int Datapath::program(sheath_direction direction, const sheath_config& config) {
  others_.push_back(load(direction, config));
  return program_in(others_.back().get(), kPrograms[direction].name);
}

Outcome Datapath::run(sheath_direction direction, const Bytes& packet, const Context& context) {
  constexpr std::size_t kRoomForHeaders = 256;
  __sk_buff skb{};
  skb.ifindex = context.ifindex;
  skb.mark = context.mark;
  skb.gso_size = context.gso_size;
  skb.gso_segs = context.gso_segs;
  skb.ingress_ifindex = context.ingress_ifindex;
  Outcome outcome;
  outcome.bytes.resize(packet.size() + kRoomForHeaders);

  LIBBPF_OPTS(bpf_test_run_opts, opts);
  opts.data_in = packet.data();
  opts.data_size_in = static_cast<__u32>(packet.size());
  opts.data_out = outcome.bytes.data();
  opts.data_size_out = static_cast<__u32>(outcome.bytes.size());
  opts.ctx_in = opts.ctx_out = &skb;
  opts.ctx_size_in = opts.ctx_size_out = sizeof(skb);
  opts.repeat = 1;
  take_events();
  if (const int error = bpf_prog_test_run_opts(program(direction), &opts); error != 0) give_up("test run", error);

  outcome.action = static_cast<int>(opts.retval);
  outcome.bytes.resize(opts.data_size_out);
  outcome.mark = skb.mark;
  outcome.events = take_events();
  return outcome;
}

std::vector<sheath_event> Datapath::take_events() {
  ring_buffer__consume(ring_.get());
  return std::exchange(events_, {});
}

sheath_counters Datapath::counters(sheath_direction direction) const {
  const std::uint32_t key = direction;
  std::vector<sheath_counters> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  if (bpf_map_lookup_elem(map("metrics"), &key, per_cpu.data()) != 0) give_up("metrics", errno);
  sheath_counters total{};
  for (const sheath_counters& cpu : per_cpu) {
#define SHEATH_ADD(name, verdict, doc)    \
  total.name.packets += cpu.name.packets; \
  total.name.bytes += cpu.name.bytes;
    SHEATH_REASONS(SHEATH_ADD)
#undef SHEATH_ADD
  }
  return total;
}

}  // namespace sheath::test
