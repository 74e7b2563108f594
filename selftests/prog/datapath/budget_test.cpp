// SPDX-License-Identifier: Apache-2.0
#include <bpf/bpf.h>
#include <doctest/doctest.h>

#include "maps/names.hpp"
#include "selftests/prog/datapath/cluster.hpp"

// What a program may cost, in instructions: as the kernel runs it, and as its verifier went through it, the larger of
// what Linux 6.1, 6.12 and 6.18 count, and a tenth on top for the verifier, which changes with each kernel. A program
// that outgrows its budget is made smaller, or the budget is raised in the commit that explains what for.
namespace sheath::test {
namespace {

struct Budget {
  sheath_direction program;
  const char* setting;
  std::uint32_t run;
  std::uint32_t verified;
};

constexpr Budget kBudgets[] = {
    {SHEATH_DIRECTION_uplink_egress, "WireGuard", 2200, 13'650},
    {SHEATH_DIRECTION_uplink_egress, "IPsec", 2222, 13'650},
    {SHEATH_DIRECTION_uplink_ingress, "WireGuard", 1120, 7'400},
    {SHEATH_DIRECTION_uplink_ingress, "IPsec", 1199, 7'650},
    {SHEATH_DIRECTION_tunnel_ingress, "WireGuard", 1090, 7'050},
    {SHEATH_DIRECTION_tunnel_ingress, "IPsec", 1190, 8'150},
    {SHEATH_DIRECTION_pod_egress, "WireGuard", 818, 4'600},
    {SHEATH_DIRECTION_overlay_egress, "IPsec", 2357, 18'600},
};

// Nothing is left out that may be on: tracing, delivery to pods.
sheath_config config_of(const Budget& budget) {
  const bool ipsec = std::string_view(budget.setting) == "IPsec";
  sheath_config config = ipsec ? ipsec_config_for(Mode::kStrict) : config_for(Mode::kStrict);
  if (budget.program == SHEATH_DIRECTION_tunnel_ingress) {
    config.l2_len = ipsec ? 14 : 0;
    config.fast_path = 1;
  }
  config.overlay = budget.program == SHEATH_DIRECTION_overlay_egress;
  return config;
}

TEST_CASE("budget: no program has grown past the instructions that it is granted") {
  Cluster cluster(Mode::kStrict);
  for (const Budget& budget : kBudgets) {
    bpf_prog_info info{};
    __u32 size = sizeof info;
    REQUIRE(bpf_obj_get_info_by_fd(cluster.program(budget.program, config_of(budget)), &info, &size) == 0);
    const std::uint32_t run = info.xlated_prog_len / static_cast<std::uint32_t>(sizeof(bpf_insn));
    CAPTURE(maps::direction_name(budget.program));
    CAPTURE(budget.setting);
    CHECK(run <= budget.run);
    CHECK(info.verified_insns <= budget.verified);
  }
}

}  // namespace
}  // namespace sheath::test
