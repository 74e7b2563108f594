// SPDX-License-Identifier: Apache-2.0
#include "loader/bpf/event_stream.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "loader/bpf/error.hpp"

namespace sheath::bpf {
namespace {

// A record of another version's size is left out: its members may be others.
int hand_out(void* context, void* data, std::size_t size) {
  const auto& handler = *static_cast<const EventStream::Handler*>(context);
  sheath_event event{};
  if (size != sizeof event || !handler) return 0;
  std::memcpy(&event, data, sizeof event);
  handler(event);
  return 0;
}

}  // namespace

void EventStream::Close::operator()(ring_buffer* ring) const {
  ring_buffer__free(ring);
}

EventStream::EventStream(EventStream&&) noexcept = default;
EventStream& EventStream::operator=(EventStream&&) noexcept = default;
EventStream::~EventStream() = default;

Result<std::optional<EventStream>> EventStream::open(const std::filesystem::path& bpffs) {
  EventStream stream;
  const auto path = bpffs / "events";
  stream.fd_ = UniqueFd(bpf_obj_get(path.c_str()));
  if (!stream.fd_ && errno == ENOENT) return std::nullopt;
  if (!stream.fd_) return fail(kernel_error("open map " + path.string(), errno));
  stream.handler_ = std::make_unique<Handler>();
  stream.ring_.reset(ring_buffer__new(stream.fd_.get(), hand_out, stream.handler_.get(), nullptr));
  if (!stream.ring_) return fail(kernel_error("open the ring buffer " + path.string(), errno));
  if (const int taken = ring_buffer__consume(stream.ring_.get()); taken < 0)
    return fail(kernel_error("read the ring buffer " + path.string(), taken));
  return stream;
}

Result<> EventStream::wait(std::chrono::milliseconds time, const Handler& handler) {
  *handler_ = handler;
  const int polled = ring_buffer__poll(ring_.get(), static_cast<int>(time.count()));
  *handler_ = nullptr;
  if (polled < 0 && polled != -EINTR) return fail(kernel_error("read the ring buffer", polled));
  return {};
}

}  // namespace sheath::bpf
