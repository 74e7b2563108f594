// SPDX-License-Identifier: Apache-2.0
#include "loader/agent/report.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "loader/base/unique_fd.hpp"

namespace sheath::agent {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxAnswer = 64u << 20;
constexpr timeval kPatience{15, 0};  // an apply of its own may have to wait for somebody's lock

constexpr std::array<std::pair<Request, std::string_view>, 3> kRequests{
    {{Request::kStatus, "status"}, {Request::kResync, "resync"}, {Request::kReload, "reload"}}};

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<UniqueFd> connect_to(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto& name = path.native();
  if (name.size() >= sizeof address.sun_path) return fail(Error::misuse(path.string() + ": is too long"));
  std::memcpy(address.sun_path, name.data(), name.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(Error::system("open a socket", errno));
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO})
    setsockopt(fd.get(), SOL_SOCKET, option, &kPatience, sizeof kPatience);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(Error::system("connect to " + path.string(), errno));
  return fd;
}

}  // namespace

std::string report_json(const AgentReport& report) {
  Json refused = Json::array();
  for (const auto& entry : report.refused) refused.push_back({{"where", entry.where}, {"reason", entry.reason}});
  Json failed = Json::array();
  for (const auto& entry : report.failed_peers) failed.push_back({{"peer", entry.peer}, {"error", entry.error}});
  return line_of({{"pid", report.pid},
                  {"version", report.version},
                  {"started", report.started},
                  {"rounds", report.rounds},
                  {"small_rounds", report.small_rounds},
                  {"failures", report.failures},
                  {"steps", report.steps},
                  {"last_round", report.last_round},
                  {"last_success", report.last_success},
                  {"last_milliseconds", report.last_milliseconds},
                  {"next_milliseconds", report.next_milliseconds},
                  {"settled", report.settled},
                  {"error", report.error},
                  {"hint", report.hint},
                  {"config_error", report.config_error},
                  {"waiting_for_key", report.waiting_for_key},
                  {"waits", report.waits},
                  {"warnings", report.warnings},
                  {"refused", refused},
                  {"failed_peers", failed}});
}

Result<AgentReport> parse_report(std::string_view text) {
  try {
    const auto json = Json::parse(text);
    if (json.contains("error") && json.size() == 1) return fail(json["error"].get<std::string>());
    AgentReport report;
    json.at("pid").get_to(report.pid);
    json.at("version").get_to(report.version);
    json.at("started").get_to(report.started);
    json.at("rounds").get_to(report.rounds);
    json.at("small_rounds").get_to(report.small_rounds);
    json.at("failures").get_to(report.failures);
    json.at("steps").get_to(report.steps);
    json.at("last_round").get_to(report.last_round);
    json.at("last_success").get_to(report.last_success);
    json.at("last_milliseconds").get_to(report.last_milliseconds);
    json.at("next_milliseconds").get_to(report.next_milliseconds);
    json.at("settled").get_to(report.settled);
    json.at("error").get_to(report.error);
    json.at("hint").get_to(report.hint);
    json.at("config_error").get_to(report.config_error);
    json.at("waiting_for_key").get_to(report.waiting_for_key);
    json.at("waits").get_to(report.waits);
    json.at("warnings").get_to(report.warnings);
    for (const auto& entry : json.at("refused"))
      report.refused.push_back({entry.at("where").get<std::string>(), entry.at("reason").get<std::string>()});
    for (const auto& entry : json.at("failed_peers"))
      report.failed_peers.push_back({entry.at("peer").get<std::string>(), entry.at("error").get<std::string>()});
    return report;
  } catch (const Json::exception& error) {
    return fail("the agent's answer cannot be read: " + std::string(error.what()));
  }
}

std::vector<std::string> agent_problems(const AgentReport& report) {
  std::vector<std::string> out;
  if (!report.error.empty()) out.push_back("the agent's last round failed: " + report.error);
  if (!report.config_error.empty()) out.push_back("the agent goes by an older configuration: " + report.config_error);
  for (const auto& entry : report.failed_peers)
    out.push_back("the agent's last round failed with " + entry.peer + ": " + entry.error);
  for (const auto& entry : report.refused) {
    const bool names_it = entry.reason.starts_with(entry.where);
    out.push_back("not taken: " + (names_it ? "" : entry.where + ": ") + entry.reason);
  }
  return out;
}

Result<Request> parse_request(std::string_view line) {
  const auto json = Json::parse(line, nullptr, false);
  const auto wanted = json.is_object() ? json.value("request", Json()) : Json();
  for (const auto& [request, name] : kRequests) {
    if (wanted == name) return request;
  }
  return fail(Error::misuse("the request is none of: status, resync, reload"));
}

std::string request_json(Request request) {
  for (const auto& [known, name] : kRequests) {
    if (known == request) return line_of({{"request", name}});
  }
  return {};
}

std::string error_json(std::string_view error) {
  return line_of({{"error", error}});
}

Result<std::string> ask_agent(const std::filesystem::path& run_folder, Request request) {
  const auto path = run_folder / kSocketName;
  auto fd = connect_to(path);
  if (!fd) return fail(std::move(fd.error()));
  const auto line = request_json(request);
  if (send(fd->get(), line.data(), line.size(), MSG_NOSIGNAL) != std::ssize(line))
    return fail(Error::system("write to " + path.string(), errno));
  std::string answer;
  std::array<char, 16 * 1024> buffer{};
  while (answer.size() < kMaxAnswer) {
    const auto size = recv(fd->get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return fail("the agent does not answer: it may be busy with a round");
    if (size < 0) return fail(Error::system("read from " + path.string(), errno));
    if (size == 0) break;
    answer.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return answer;
}

}  // namespace sheath::agent
