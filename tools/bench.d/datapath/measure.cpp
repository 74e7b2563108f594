// SPDX-License-Identifier: Apache-2.0
#include "tools/bench.d/datapath/measure.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <stdexcept>

#include "least.skel.h"
#include "maps/marks.h"
#include "nothing.skel.h"
#include "spread.skel.h"

namespace sheath::bench {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kSweepBytes = 64U << 20U;  // more than a core's share of any last-level cache that we know

[[noreturn]] void give_up(const std::string& doing) {
  throw std::runtime_error(doing + ": " + std::strerror(errno));
}

Object load(const char* name, const void* (*elf)(std::size_t*)) {
  std::size_t size = 0;
  const void* bytes = elf(&size);
  Object object(bpf_object__open_mem(bytes, size, nullptr));
  if (!object || bpf_object__load(object.get()) != 0) give_up(std::string("load ") + name);
  return object;
}

int map_of(const Object& object, const char* name) {
  return bpf_object__find_map_fd_by_name(object.get(), name);
}

int program_of(const Object& object, const char* name) {
  return bpf_program__fd(bpf_object__find_program_by_name(object.get(), name));
}

void put(int map, const void* key, const void* value) {
  if (bpf_map_update_elem(map, key, value, BPF_ANY) != 0) give_up("fill a map");
}

// As in scenes.hpp: the same prefixes as the cluster's.
void fill_floor(const Object& floor, Family family, std::uint32_t prefixes) {
  for (std::uint32_t number = 1; number <= prefixes; ++number) {
    const auto high = static_cast<std::uint8_t>(number >> 8U);
    const auto low = static_cast<std::uint8_t>(number);
    const __u32 way[2] = {sheath_tx_mark(static_cast<__u16>(number), 3), 1};  // least.bpf.c: mark, tunnel
    if (family == Family::kIpv4) {
      const std::uint8_t key[4] = {10, high, low, 0};
      put(map_of(floor, "floor_ways4"), key, way);
    } else {
      const std::uint8_t key[8] = {0xfd, 0, 0, 0x10, high, low, 0, 0};
      put(map_of(floor, "floor_ways6"), key, way);
    }
  }
}

double processor_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

}  // namespace

void CloseObject::operator()(bpf_object* object) const {
  bpf_object__close(object);
}

Meter::Meter(Family family, std::uint32_t prefixes)
    : spread_(load("spread", ::spread::elf_bytes)),
      nothing_(load("nothing", ::nothing::elf_bytes)),
      floor_(load("least", ::least::elf_bytes)),
      sweep_(kSweepBytes) {
  fill_floor(floor_, family, prefixes);
}

int Meter::floor_program() const {
  return program_of(floor_, "least");
}

Case Meter::nothing(const Case& like) const {
  Case result = like;
  result.path = "nothing";
  result.program = program_of(nothing_, "nothing");
  return result;
}

Case Meter::floor(const Case& like) const {
  Case result = like;
  result.path = "floor";
  result.program = floor_program();
  return result;
}

// What a test run does besides is in both calls, and in every program's: it goes with the empty program's.
double Meter::run(const Case& what, std::uint32_t repeat) const {
  const __u32 zero = 0;
  put(map_of(spread_, "plan"), &zero, &what.plan);
  put(map_of(spread_, "measured"), &zero, &what.program);
  __sk_buff skb{};
  skb.ifindex = what.ifindex;
  LIBBPF_OPTS(bpf_test_run_opts, opts);
  opts.data_in = what.packet.data();
  opts.data_size_in = static_cast<__u32>(what.packet.size());
  opts.ctx_in = &skb;
  opts.ctx_size_in = sizeof(skb);
  opts.repeat = static_cast<int>(repeat);
  const double begin = processor_time();
  if (bpf_prog_test_run_opts(program_of(spread_, "spread"), &opts) != 0) give_up("test run");
  const double end = processor_time();
  // The kernel rounds its own mean to a nanosecond, and for one packet that is all there is.
  return repeat == 1 ? opts.duration : (end - begin) / repeat;
}

double Meter::warm(const Case& what, std::uint32_t repeat) const {
  return run(what, repeat);
}

double Meter::cold(const Case& what) const {
  for (std::size_t at = 0; at < sweep_.size(); at += kCacheLine) ++sweep_[at];
  return run(what, 1);
}

}  // namespace sheath::bench
