// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "loader/base/address.hpp"
#include "maps/reasons.h"
#include "maps/types.h"
#include "selftests/harness/packet.hpp"

struct bpf_object;
struct ring_buffer;

// The programs with maps of their own, run on single packets by BPF_PROG_TEST_RUN. Whatever fails throws: a test that
// cannot be set up is a failed test.
namespace sheath::test {

// What a packet brings with it besides its bytes.
struct Context {
  std::uint32_t ifindex = 0;  // 0: the loopback device
  std::uint32_t mark = 0;
  std::uint32_t gso_size = 0;
  std::uint32_t gso_segs = 0;
  std::uint32_t ingress_ifindex = 0;  // what it came into the node by; 0: it is the node's own
};

struct Outcome {
  int action = 0;  // TC_ACT_*
  Bytes bytes;
  std::uint32_t mark = 0;
  std::vector<sheath_event> events;
};

class Datapath {
 public:
  // Makes the maps and loads no program yet: each is loaded with `config` when it first runs.
  explicit Datapath(const sheath_config& config);
  ~Datapath();
  Datapath(const Datapath&) = delete;
  Datapath& operator=(const Datapath&) = delete;

  // Programs that were loaded before do not know it where it has a length of its own: they are loaded again.
  void add_pods(const std::string& cidr, sheath_kind kind, std::uint16_t node_id = 0);
  void add_node(const std::string& address, sheath_kind kind, std::uint16_t node_id = 0);
  void set_peer(std::uint32_t node_id, const sheath_peer& peer);
  void add_endpoint(const std::string& address, const sheath_endpoint& endpoint);

  Outcome run(sheath_direction direction, const Bytes& packet, const Context& context = {});

  // What tunnel_ingress noted of a node, or nothing; and an end to it.
  std::optional<sheath_heard> heard(std::uint32_t node_id) const;
  void forget(std::uint32_t node_id);

  // Sums over all CPUs.
  sheath_counters counters(sheath_direction direction) const;
  // What the map `withheld` has under a key; zeros where it has nothing.
  sheath_withheld withheld(const sheath_withheld_key& key) const;
  // Packets of all its entries.
  std::uint64_t withheld_packets() const;
  // Descriptor of the program, loaded now if it was not.
  int program(sheath_direction direction);
  // The same with another configuration over the same maps; the program lives as long as this object.
  int program(sheath_direction direction, const sheath_config& config);
  // The reports that came since the last call, or the last run().
  std::vector<sheath_event> take_events();

 private:
  struct Close {
    void operator()(bpf_object* object) const;
    void operator()(ring_buffer* ring) const;
  };
  using Object = std::unique_ptr<bpf_object, Close>;

  int map(const char* name) const;
  void put(const char* map_name, const void* key, const void* value);
  Object load(sheath_direction direction, const sheath_config& config) const;

  sheath_config config_;
  Object maps_;
  std::map<sheath_direction, Object> programs_;
  std::vector<Object> others_;
  std::vector<Cidr> prefixes_;
  std::set<Cidr> pods_;  // of the endpoints
  std::vector<sheath_event> events_;
  std::unique_ptr<ring_buffer, Close> ring_;
};

}  // namespace sheath::test
