// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "loader/bpf/attachment.hpp"
#include "loader/bpf/program.hpp"
#include "maps/names.hpp"
#include "selftests/prog/loader/sandbox.hpp"

namespace sheath::bpf {
namespace {

using test::new_pin_folder;
using test::output_of;
using test::run;
using test::TestDevice;

PinnedMaps create_maps(const fs::path& bpffs) {
  auto maps = PinnedMaps::create(bpffs);
  REQUIRE_MESSAGE(maps, (maps ? "" : maps.error().what()));
  return std::move(*maps);
}

// A node's pins, and shorthands for what the cases do with them.
struct Node {
  fs::path bpffs = new_pin_folder();
  PinnedMaps maps;
  HookChoice choice;

  explicit Node(HookChoice hook) : maps(create_maps(bpffs)), choice(hook) {}
  ~Node() { (void)remove_everything(bpffs); }

  void attach(const Place& place, std::uint32_t tunnel_ifindex) const {
    sheath_config config{};
    config.build = 0x1122334455667788;
    config.tunnel_ifindex = tunnel_ifindex;
    config.l2_len = 14;
    config.strict = 1;
    const auto done = bpf::attach(bpffs, place, config, maps, choice);
    REQUIRE_MESSAGE(done, (done ? "" : done.error().what() + "\n" + done.error().hint()));
  }
  // A program that is not where the loader would put it, at the egress of eth0.5.
  void add_foreign_filter(const std::string& position) const {
    const auto program = load_program(SHEATH_DIRECTION_uplink_ingress, {}, maps);
    REQUIRE(program);
    const auto pin = (bpffs / "foreign").string();
    REQUIRE(pin_over(program->get(), pin));
    REQUIRE(run("tc filter add dev eth0.5 egress " + position + " bpf da object-pinned " + pin));
    REQUIRE(remove_pin(pin));
  }
  std::vector<Attached> attached() const {
    const auto list = list_attached(bpffs);
    REQUIRE_MESSAGE(list, (list ? "" : list.error().what()));
    return *list;
  }
};

bool has_clsact(const TestDevice& device) {
  return output_of("tc qdisc show dev " + device.name()).find("clsact") != std::string::npos;
}

const Place kEgress{SHEATH_DIRECTION_uplink_egress, "eth0.5"};
const Place kIngress{SHEATH_DIRECTION_uplink_ingress, "eth0.5"};

constexpr HookChoice kBoth[] = {HookChoice::kBest, HookChoice::kClsact};

TEST_CASE("attach: what is attached is read back with its constants, on either kind of hook") {
  for (const auto choice : kBoth) {
    CAPTURE(static_cast<int>(choice));
    const TestDevice device("eth0.5");
    const Node node(choice);
    node.attach(kEgress, 42);
    node.attach(kIngress, 43);
    const auto list = node.attached();
    REQUIRE(list.size() == 2);
    CHECK(list[0].place == kEgress);
    CHECK(list[0].config.build == 0x1122334455667788);
    CHECK(list[0].config.tunnel_ifindex == 42);
    CHECK(list[0].config.strict == 1);
    CHECK(list[1].place == kIngress);
    CHECK(list[1].config.tunnel_ifindex == 43);
    if (choice == HookChoice::kClsact) CHECK(list[0].hook == Hook::kClsact);
    CHECK(fs::exists(program_pin(node.bpffs, kEgress)));
    CHECK(program_pin(node.bpffs, kEgress).filename() == "uplink_egress_eth0%2e5");
  }
}

TEST_CASE("attach: every program of ours loads, and hangs on its side of the device") {
  for (const auto& direction : maps::directions()) {
    CAPTURE(direction.name);
    const TestDevice device("eth0.5");
    const Node node(HookChoice::kClsact);
    node.attach({direction.direction, "eth0.5"}, 42);
    const bool egress = maps::is_on_egress(direction.direction);
    CHECK(output_of("tc filter show dev eth0.5 " + std::string(egress ? "egress" : "ingress")).find(direction.name) !=
          std::string::npos);
    CHECK(output_of("tc filter show dev eth0.5 " + std::string(egress ? "ingress" : "egress")).empty());
    REQUIRE(node.attached().size() == 1);
    CHECK(node.attached()[0].place.program == direction.direction);
  }
}

TEST_CASE("attach: a second time replaces the program in place") {
  for (const auto choice : kBoth) {
    CAPTURE(static_cast<int>(choice));
    const TestDevice device("eth0.5");
    const Node node(choice);
    node.attach(kEgress, 1);
    const auto before = node.attached().at(0);
    node.attach(kEgress, 2);
    const auto after = node.attached();
    REQUIRE(after.size() == 1);
    CHECK(after[0].config.tunnel_ifindex == 2);
    CHECK(after[0].program_id != before.program_id);
  }
}

TEST_CASE("attach: a program that somebody detached by hand counts as absent, and comes back") {
  for (const auto choice : kBoth) {
    CAPTURE(static_cast<int>(choice));
    const TestDevice device("eth0.5");
    const Node node(choice);
    node.attach(kEgress, 1);
    if (node.attached().at(0).hook == Hook::kTcx) {
      REQUIRE(run("bpftool link detach pinned " + link_pin(node.bpffs, kEgress).string()));
    } else {
      REQUIRE(run("tc filter del dev eth0.5 egress"));
    }
    CHECK(fs::exists(program_pin(node.bpffs, kEgress)));
    CHECK(node.attached().empty());
    node.attach(kEgress, 2);
    CHECK(node.attached().at(0).config.tunnel_ifindex == 2);
  }
}

TEST_CASE("attach: a device made anew has no program until it is attached again") {
  for (const auto choice : kBoth) {
    CAPTURE(static_cast<int>(choice));
    TestDevice device("eth0.5");
    const Node node(choice);
    node.attach(kEgress, 1);
    device.make_anew();
    CHECK(node.attached().empty());
    node.attach(kEgress, 2);
    CHECK(node.attached().at(0).config.tunnel_ifindex == 2);
  }
}

TEST_CASE("attach: changing from clsact to tcx leaves one program, not two") {
  const TestDevice device("eth0.5");
  Node node(HookChoice::kClsact);
  node.attach(kEgress, 1);
  node.choice = HookChoice::kBest;
  node.attach(kEgress, 2);
  REQUIRE(node.attached().size() == 1);
  CHECK(node.attached()[0].config.tunnel_ifindex == 2);
  if (node.attached()[0].hook == Hook::kTcx) CHECK_FALSE(has_clsact(device));
}

TEST_CASE("attach: a filter of ours whose pin is gone is still found, and still removed") {
  const TestDevice device("eth0.5");
  const Node node(HookChoice::kClsact);
  node.attach(kEgress, 1);
  REQUIRE(fs::remove(program_pin(node.bpffs, kEgress)));
  CHECK(node.attached().size() == 1);
  REQUIRE(detach(node.bpffs, kEgress));
  CHECK(node.attached().empty());
}

TEST_CASE("attach: a filter of somebody else in our place is refused, not replaced") {
  const TestDevice device("eth0.5");
  const Node node(HookChoice::kClsact);
  REQUIRE(run("tc qdisc add dev eth0.5 clsact"));
  node.add_foreign_filter("prio 1 handle 0x5ea7");
  const auto done = attach(node.bpffs, kEgress, {}, node.maps, HookChoice::kClsact);
  REQUIRE_FALSE(done);
  CHECK(done.error().what() ==
        "attach uplink_egress on eth0.5: a filter that is not ours has priority 1, handle 0x5ea7");
  CHECK(output_of("tc filter show dev eth0.5 egress").find("foreign") != std::string::npos);
  CHECK(node.attached().empty());
}

TEST_CASE("detach: filters of others stay, and so does their clsact") {
  const TestDevice device("eth0.5");
  const Node node(HookChoice::kClsact);
  node.attach(kEgress, 1);
  node.add_foreign_filter("prio 10 handle 1");
  REQUIRE(detach(node.bpffs, kEgress));
  CHECK(has_clsact(device));
  CHECK(output_of("tc filter show dev eth0.5 egress").find("foreign") != std::string::npos);
  CHECK(output_of("tc filter show dev eth0.5 egress").find("uplink_egress") == std::string::npos);
}

TEST_CASE("detach: the clsact that we made goes with our last program, not before") {
  const TestDevice device("eth0.5");
  const Node node(HookChoice::kClsact);
  node.attach(kEgress, 1);
  node.attach(kIngress, 1);
  REQUIRE(detach(node.bpffs, kEgress));
  CHECK(has_clsact(device));
  REQUIRE(node.attached().size() == 1);
  REQUIRE(detach(node.bpffs, kIngress));
  CHECK_FALSE(has_clsact(device));
}

TEST_CASE("detach: a clsact that was there before us stays") {
  const TestDevice device("eth0.5");
  REQUIRE(run("tc qdisc add dev eth0.5 clsact"));
  const Node node(HookChoice::kClsact);
  node.attach(kEgress, 1);
  REQUIRE(detach(node.bpffs, kEgress));
  CHECK(has_clsact(device));
}

TEST_CASE("detach: of what is not attached, or whose device is gone, is no error") {
  Node node(HookChoice::kBest);
  CHECK(detach(node.bpffs, kEgress));
  {
    const TestDevice device("eth0.5");
    node.attach(kEgress, 1);
  }
  CHECK(detach(node.bpffs, kEgress));
  CHECK(list_places(node.bpffs)->empty());
}

TEST_CASE("attach: a device that does not exist is an error that names it") {
  const Node node(HookChoice::kBest);
  const auto done = attach(node.bpffs, {SHEATH_DIRECTION_uplink_egress, "nowhere0"}, {}, node.maps);
  REQUIRE_FALSE(done);
  CHECK(done.error().what().starts_with("attach uplink_egress on nowhere0: find the device: "));
}

TEST_CASE("remove_everything: leaves nothing of ours, and leaves what is not") {
  for (const auto choice : kBoth) {
    CAPTURE(static_cast<int>(choice));
    const TestDevice device("eth0.5");
    const Node node(choice);
    node.attach(kEgress, 1);
    node.attach(kIngress, 1);
    const auto other = node.bpffs / "other";
    REQUIRE(run("bpftool map create " + other.string() + " type hash key 4 value 4 entries 1 name other"));
    REQUIRE(remove_everything(node.bpffs));
    CHECK(node.attached().empty());
    CHECK_FALSE(has_clsact(device));
    CHECK(list_pins(node.bpffs) == std::vector<std::string>{"other"});
    REQUIRE(remove_pin(other));
    REQUIRE(remove_everything(node.bpffs));
    CHECK_FALSE(fs::exists(node.bpffs));
  }
}

}  // namespace
}  // namespace sheath::bpf
