// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "loader/base/result.hpp"
#include "loader/base/unique_fd.hpp"
#include "loader/bpf/pinned_maps.hpp"
#include "maps/types.h"

struct bpf_object;
struct ring_buffer;

namespace sheath::bpf {

// What the audit goes by: who is who, and of each peer what ought to become of its node traffic.
struct AuditTables {
  Owners node_ips;
  CidrOwners pod_cidrs;
  Peers peers;
};

// The filter that finds readable traffic of the cluster (bpf/audit.bpf.c), on maps of its own that nobody else sees: it
// audits those that are pinned, too. Needs CAP_BPF.
class Audit {
 public:
  // `config`: the ports count, and nothing else.
  static Result<Audit> load(const sheath_config& config, const AuditTables& tables);
  Audit(Audit&&) noexcept;
  Audit& operator=(Audit&&) noexcept;
  ~Audit();

  // For SO_ATTACH_BPF on a packet socket of type SOCK_DGRAM; this object's.
  int program() const { return program_.get(); }

  // Shows what was found, as long as there is any, and waits for the first within the time. Of a flood some reports are
  // lost; the counters have them all. An interrupted wait is no error.
  Result<> wait(std::chrono::milliseconds time, const std::function<void(const sheath_event&)>& show);
  Result<sheath_audit> counters() const;

 private:
  struct Close {
    void operator()(bpf_object* object) const;
    void operator()(ring_buffer* ring) const;
  };
  using Show = std::function<void(const sheath_event&)>;

  Audit() = default;

  std::unique_ptr<bpf_object, Close> object_;
  UniqueFd program_;
  int counters_fd_ = -1;  // the object's
  std::unique_ptr<Show> show_;
  std::unique_ptr<ring_buffer, Close> ring_;
};

}  // namespace sheath::bpf
