// SPDX-License-Identifier: Apache-2.0
#include "loader/agent/loop.hpp"

#include <arpa/inet.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <list>
#include <optional>
#include <string_view>
#include <vector>

#include "loader/base/address.hpp"

namespace sheath::agent {
namespace {

constexpr std::size_t kMaxRequest = 16 * 1024;
constexpr std::uint64_t kMaxConnectionMs = 10'000;
constexpr std::size_t kMaxConnections = 32;

Error uv_error(std::string_view doing, int code) {
  return Error::system(doing, -code);
}

template <typename Handle>
uv_handle_t* handle_of(Handle& handle) {
  return reinterpret_cast<uv_handle_t*>(&handle);
}

// Each of these owns itself once it was started: libuv hands it back when it is closed.
template <typename State>
void close_and_delete(State* state) {
  state->handle.data = state;
  uv_close(handle_of(state->handle), [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

struct Connection {
  union {
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  };
  uv_timer_t timer{};
  uv_write_t write{};
  const Loop::Answer* answer = nullptr;
  std::size_t* open = nullptr;
  std::string received;
  std::string reply;
  std::array<char, 4096> buffer{};
  int handles = 2;
  bool closing = false;

  Connection() : pipe{} {}

  static Connection& of(void* data) { return *static_cast<Connection*>(data); }

  void close() {
    if (closing) return;
    closing = true;
    const auto closed = [](uv_handle_t* handle) {
      auto& connection = of(handle->data);
      if (--connection.handles > 0) return;
      --*connection.open;
      delete &connection;
    };
    uv_close(reinterpret_cast<uv_handle_t*>(&stream), closed);
    uv_close(handle_of(timer), closed);
  }

  void take(std::string_view bytes) {
    received += bytes;
    auto answered = (*answer)(received);
    if (!answered) {
      if (received.size() >= kMaxRequest) close();
      return;
    }
    uv_read_stop(&stream);
    reply = std::move(*answered);
    write.data = this;
    const uv_buf_t out = uv_buf_init(reply.data(), static_cast<unsigned>(reply.size()));
    const int failed = uv_write(&write, &stream, &out, 1, [](uv_write_t* request, int) { of(request->data).close(); });
    if (failed != 0) close();
  }

  void start() {
    stream.data = this;
    timer.data = this;
    uv_timer_start(&timer, [](uv_timer_t* handle) { of(handle->data).close(); }, kMaxConnectionMs, 0);
    const auto allocate = [](uv_handle_t* handle, std::size_t, uv_buf_t* out) {
      auto& self = of(handle->data);
      *out = uv_buf_init(self.buffer.data(), static_cast<unsigned>(self.buffer.size()));
    };
    const auto read = [](uv_stream_t* handle, ssize_t size, const uv_buf_t*) {
      auto& self = of(handle->data);
      if (size < 0) return self.close();
      self.take({self.buffer.data(), static_cast<std::size_t>(size)});
    };
    if (uv_read_start(&stream, allocate, read) != 0) close();
  }
};

struct Server {
  union {
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  };
  bool is_unix = false;
  Loop::Answer answer;
  std::size_t open = 0;

  explicit Server(Loop::Answer to) : pipe{}, answer(std::move(to)) {}

  void accept() {
    auto* connection = new Connection;
    connection->answer = &answer;
    connection->open = &open;
    ++open;
    if (is_unix) {
      uv_pipe_init(stream.loop, &connection->pipe, 0);
    } else {
      uv_tcp_init(stream.loop, &connection->tcp);
    }
    uv_timer_init(stream.loop, &connection->timer);
    connection->stream.data = connection;
    connection->timer.data = connection;
    if (uv_accept(&stream, &connection->stream) != 0 || open > kMaxConnections) return connection->close();
    connection->start();
  }

  Result<> listen(std::string_view where) {
    stream.data = this;
    const int failed = uv_listen(&stream, 16, [](uv_stream_t* handle, int status) {
      if (status == 0) static_cast<Server*>(handle->data)->accept();
    });
    if (failed != 0) return fail(uv_error("listen on " + std::string(where), failed));
    return {};
  }
};

struct SignalState {
  uv_signal_t handle{};
  Loop::Handler handler;
};

struct PollState {
  uv_poll_t handle{};
  Loop::Handler handler;
};

}  // namespace

struct Loop::Timer::State {
  uv_timer_t handle{};
  Handler handler;
};

struct Loop::Watch::State {
  uv_fs_event_t handle{};
  EntryHandler handler;
};

struct Loop::Impl {
  uv_loop_t loop{};
  // In a list: libuv has their addresses.
  std::list<SignalState> signals;
  std::list<PollState> polls;
  std::list<Server> servers;

  ~Impl() {
    uv_walk(
        &loop,
        [](uv_handle_t* handle, void*) {
          if (uv_is_closing(handle) == 0) uv_close(handle, nullptr);
        },
        nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
  }
};

void Loop::Timer::Close::operator()(State* state) const {
  close_and_delete(state);
}

void Loop::Watch::Close::operator()(State* state) const {
  close_and_delete(state);
}

void Loop::Timer::set(std::chrono::milliseconds from_now) {
  const auto wait = std::max<std::int64_t>(from_now.count(), 0);
  // libuv counts from the beginning of this turn of the loop.
  uv_update_time(state_->handle.loop);
  uv_timer_start(
      &state_->handle, [](uv_timer_t* handle) { static_cast<State*>(handle->data)->handler(); },
      static_cast<std::uint64_t>(wait), 0);
}

void Loop::Timer::stop() {
  uv_timer_stop(&state_->handle);
}

Loop::Loop(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Loop::Loop(Loop&&) noexcept = default;
Loop& Loop::operator=(Loop&&) noexcept = default;
Loop::~Loop() = default;

Result<Loop> Loop::make() {
  auto impl = std::make_unique<Impl>();
  if (const int failed = uv_loop_init(&impl->loop); failed != 0) {
    (void)impl.release();  // nothing in it can be closed
    return fail(uv_error("make an event loop", failed));
  }
  return Loop(std::move(impl));
}

Loop::Timer Loop::timer(Handler handler) {
  Timer timer;
  timer.state_.reset(new Timer::State);
  uv_timer_init(&impl_->loop, &timer.state_->handle);
  timer.state_->handle.data = timer.state_.get();
  timer.state_->handler = std::move(handler);
  return timer;
}

Result<Loop::Watch> Loop::watch(const std::filesystem::path& folder, EntryHandler handler) {
  Watch watch;
  watch.state_.reset(new Watch::State);
  uv_fs_event_init(&impl_->loop, &watch.state_->handle);
  watch.state_->handle.data = watch.state_.get();
  watch.state_->handler = std::move(handler);
  const int failed = uv_fs_event_start(
      &watch.state_->handle,
      [](uv_fs_event_t* handle, const char* entry, int, int status) {
        const bool is_known = entry != nullptr && status == 0;
        static_cast<Watch::State*>(handle->data)->handler(is_known ? entry : std::string_view());
      },
      folder.c_str(), 0);
  if (failed != 0) return fail(uv_error("watch " + folder.string(), failed));
  return watch;
}

Result<> Loop::on_signal(int number, Handler handler) {
  auto& state = impl_->signals.emplace_back();
  uv_signal_init(&impl_->loop, &state.handle);
  state.handle.data = &state;
  state.handler = std::move(handler);
  const int failed = uv_signal_start(
      &state.handle, [](uv_signal_t* handle, int) { static_cast<SignalState*>(handle->data)->handler(); }, number);
  if (failed != 0) return fail(uv_error("catch signal " + std::to_string(number), failed));
  return {};
}

Result<> Loop::on_readable(int fd, Handler handler) {
  auto& state = impl_->polls.emplace_back();
  if (const int failed = uv_poll_init(&impl_->loop, &state.handle, fd); failed != 0) {
    impl_->polls.pop_back();
    return fail(uv_error("watch a descriptor", failed));
  }
  state.handle.data = &state;
  state.handler = std::move(handler);
  const int failed = uv_poll_start(&state.handle, UV_READABLE, [](uv_poll_t* handle, int, int) {
    static_cast<PollState*>(handle->data)->handler();
  });
  if (failed != 0) return fail(uv_error("watch a descriptor", failed));
  return {};
}

Result<> Loop::serve_unix(const std::filesystem::path& path, Answer answer) {
  // libuv would cut a path that does not fit.
  if (path.native().size() >= sizeof(sockaddr_un::sun_path))
    return fail(Error::misuse(path.string() + ": is too long for a socket's name"));
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  auto& server = impl_->servers.emplace_back(std::move(answer));
  server.is_unix = true;
  uv_pipe_init(&impl_->loop, &server.pipe, 0);
  const auto mask = umask(0177);
  const int failed = uv_pipe_bind(&server.pipe, path.c_str());
  umask(mask);
  if (failed != 0) return fail(uv_error("bind " + path.string(), failed));
  return server.listen(path.string());
}

Result<> Loop::serve_tcp(const std::string& address, Answer answer) {
  const auto endpoint = Endpoint::parse(address);
  if (!endpoint) return fail(Error::misuse("\"" + address + "\" is no address and port, such as 127.0.0.1:9964"));
  const auto host = endpoint->address.text();
  sockaddr_storage socket_address{};
  if (endpoint->address.family == Family::kIpv4) {
    uv_ip4_addr(host.c_str(), endpoint->port, reinterpret_cast<sockaddr_in*>(&socket_address));
  } else {
    uv_ip6_addr(host.c_str(), endpoint->port, reinterpret_cast<sockaddr_in6*>(&socket_address));
  }
  auto& server = impl_->servers.emplace_back(std::move(answer));
  uv_tcp_init(&impl_->loop, &server.tcp);
  const int failed = uv_tcp_bind(&server.tcp, reinterpret_cast<const sockaddr*>(&socket_address), 0);
  if (failed != 0) return fail(uv_error("bind " + address, failed));
  return server.listen(address);
}

void Loop::run() {
  uv_run(&impl_->loop, UV_RUN_DEFAULT);
}

void Loop::stop() {
  uv_stop(&impl_->loop);
}

}  // namespace sheath::agent
