// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "loader/base/result.hpp"

// libuv's event loop, as much of it as an agent needs. One thread; handlers run inside run().
namespace sheath::agent {

class Loop {
 public:
  using Handler = std::function<void()>;

  // Calls its handler once the time that it was set to has come. Gone with its object.
  class Timer {
   public:
    Timer() = default;
    void set(std::chrono::milliseconds from_now);
    void stop();

   private:
    friend class Loop;
    struct State;
    struct Close {
      void operator()(State* state) const;
    };
    std::unique_ptr<State, Close> state_;
  };

  // A folder whose entries are watched; gone with its object.
  class Watch {
   public:
    Watch() = default;
    explicit operator bool() const { return state_ != nullptr; }

   private:
    friend class Loop;
    struct State;
    struct Close {
      void operator()(State* state) const;
    };
    std::unique_ptr<State, Close> state_;
  };

  // A connection that somebody made to us: bytes come in, an answer goes out, and it ends. `take` gets all that has
  // come so far, and answers nullopt as long as it wants more; `limit` bytes without an answer end it, and so do ten
  // seconds.
  using Answer = std::function<std::optional<std::string>(std::string_view so_far)>;

  static Result<Loop> make();
  Loop(Loop&&) noexcept;
  Loop& operator=(Loop&&) noexcept;
  // Everything that was made with it, but for timers and watches, goes with it.
  ~Loop();

  Timer timer(Handler handler);
  // Any entry of the folder was made, changed, renamed or removed, or the folder itself was. `entry`: its name; empty:
  // nobody knows which.
  using EntryHandler = std::function<void(std::string_view entry)>;
  Result<Watch> watch(const std::filesystem::path& folder, EntryHandler handler);
  Result<> on_signal(int number, Handler handler);
  // The descriptor has something to read; it stays the caller's, and open as long as this.
  Result<> on_readable(int fd, Handler handler);
  // A socket file of mode 0600; one that a dead process left is replaced.
  Result<> serve_unix(const std::filesystem::path& path, Answer answer);
  // `address`: "127.0.0.1:9964", "[::1]:9964".
  Result<> serve_tcp(const std::string& address, Answer answer);

  // Until stop().
  void run();
  void stop();

 private:
  struct Impl;
  explicit Loop(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sheath::agent
