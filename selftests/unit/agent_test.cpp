// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <unistd.h>

#include <string>

#include "loader/agent/configuration.hpp"
#include "loader/agent/exposition.hpp"
#include "loader/agent/http.hpp"
#include "loader/agent/metrics.hpp"
#include "loader/agent/pace.hpp"
#include "loader/agent/report.hpp"
#include "loader/base/address.hpp"
#include "loader/netlink/events.hpp"

using namespace sheath;
using namespace sheath::agent;
using namespace std::chrono_literals;

namespace {

using Outcome = Pace::Outcome;

const Pace::Time kStart{1h};

Pace settled_pace() {
  Pace pace(60s, kStart);
  pace.done(kStart, Outcome::kSettled);
  return pace;
}

std::string http(const std::string& request) {
  const auto answer = answer_http(request, [] { return std::string("sheath_ok 1\n"); });
  return answer.value_or("(wants more)");
}

AgentReport full_report() {
  AgentReport report;
  report.pid = 4711;
  report.version = "1.2.3";
  report.started = 1;
  report.rounds = 2;
  report.small_rounds = 1;
  report.failures = 3;
  report.steps = 4;
  report.last_round = 5;
  report.last_success = 6;
  report.last_milliseconds = 7;
  report.next_milliseconds = 8;
  report.settled = true;
  report.error = "it \"broke\"";
  report.hint = "mend it";
  report.config_error = "c";
  report.waiting_for_key = {"a"};
  report.waits = {"b", "c"};
  report.warnings = {"d"};
  report.refused = {{"all.json: Node/x", "is wrong"}};
  report.failed_peers = {{"node2", "step 3 of 4, add peer node2: no"}};
  return report;
}

}  // namespace

TEST_CASE("agent pace: the first round is at once, then one each resync") {
  Pace pace(60s, kStart);
  CHECK(pace.due() == kStart);
  pace.done(kStart + 1s, Outcome::kSettled);
  CHECK(pace.due() == kStart + 61s);
  pace.set_resync(5s);
  pace.done(kStart + 61s, Outcome::kSettled);
  CHECK(pace.due() == kStart + 66s);
}

TEST_CASE("agent pace: a burst of changes is one round, when it is over or a second after it began") {
  auto pace = settled_pace();
  pace.changed(kStart + 10s);
  CHECK(pace.due() == kStart + 10s + Pace::kQuiet);
  pace.changed(kStart + 10s + 50ms);
  CHECK(pace.due() == kStart + 10s + 50ms + Pace::kQuiet);
  for (auto at = kStart + 10s; at < kStart + 20s; at += 50ms) pace.changed(at);
  CHECK(pace.due() == kStart + 10s + Pace::kGatherAtMost);
  pace.done(kStart + 12s, Outcome::kSettled);
  CHECK(pace.due() == kStart + 72s);
}

TEST_CASE("agent pace: what is due anyway does not wait for a burst to end") {
  auto pace = settled_pace();
  pace.changed(kStart + 59s + 990ms);
  CHECK(pace.due() == kStart + 60s);
}

TEST_CASE("agent pace: what fails is tried again, later each time, and sooner when something changes") {
  auto pace = settled_pace();
  auto now = kStart;
  std::string waits;
  for (int i = 0; i < 8; ++i) {
    pace.done(now, Outcome::kFailed);
    waits += std::to_string(std::chrono::duration_cast<std::chrono::seconds>(pace.due() - now).count()) + " ";
    now = pace.due();
  }
  CHECK(waits == "1 2 4 8 16 32 60 60 ");
  pace.changed(now - 30s);
  CHECK(pace.due() == now - 30s + Pace::kQuiet);
  pace.done(now, Outcome::kSettled);
  pace.done(now, Outcome::kFailed);
  CHECK(pace.due() == now + Pace::kFirstRetry);
}

TEST_CASE("agent pace: while peers are waited for it looks often, and after a minute less so") {
  auto pace = settled_pace();
  pace.done(kStart, Outcome::kWaiting);
  CHECK(pace.due() == kStart + Pace::kPoll);
  pace.done(kStart + 59s, Outcome::kWaiting);
  CHECK(pace.due() == kStart + 59s + Pace::kPoll);
  pace.done(kStart + 60s, Outcome::kWaiting);
  CHECK(pace.due() == kStart + 60s + Pace::kPollLater);
  pace.done(kStart + 61s, Outcome::kSettled);
  pace.done(kStart + 62s, Outcome::kWaiting);
  CHECK(pace.due() == kStart + 62s + Pace::kPoll);
}

TEST_CASE(
    "agent pace: while peers are waited for, a costly round rests longer than a cheap one, and not past the resync") {
  auto pace = settled_pace();
  pace.done(kStart, Outcome::kWaiting, 10ms);
  CHECK(pace.due() == kStart + Pace::kPoll);
  pace.done(kStart, Outcome::kWaiting, 1500ms);
  CHECK(pace.due() == kStart + 6s);
  pace.done(kStart, Outcome::kWaiting, 1h);
  CHECK(pace.due() == kStart + 60s);
}

TEST_CASE("agent report: what is written is what is read, and another's words are named as such") {
  const auto report = full_report();
  const auto line = report_json(report);
  CHECK(line.find('\n') == line.size() - 1);
  const auto read = parse_report(line);
  REQUIRE_MESSAGE(read, (read ? "" : read.error().what()));
  CHECK(*read == report);
  CHECK(parse_report("{\"error\": \"no\"}").error().what() == "no");
  CHECK(parse_report("nonsense").error().what().starts_with("the agent's answer cannot be read: "));
  CHECK_FALSE(parse_report("{\"pid\": 1}"));
}

TEST_CASE("agent report: requests are known, and others refused") {
  for (const auto request : {Request::kStatus, Request::kResync, Request::kReload}) {
    CHECK(parse_request(request_json(request)).value() == request);
  }
  for (const char* wrong : {"", "{}", "[]", "\"status\"", "{\"request\": 3}", "{\"request\": \"stop\"}"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_request(wrong));
  }
  CHECK(error_json("a \"b\"") == "{\"error\":\"a \\\"b\\\"\"}\n");
}

TEST_CASE("agent report: its problems are those that somebody has to mend") {
  AgentReport report;
  report.waits = {"kind-worker: no key yet"};
  report.warnings = {"w"};
  CHECK(agent_problems(report).empty());
  const auto problems = agent_problems(full_report());
  REQUIRE(problems.size() == 4);
  CHECK(problems[0] == "the agent's last round failed: it \"broke\"");
  CHECK(problems[1] == "the agent goes by an older configuration: c");
  CHECK(problems[2] == "the agent's last round failed with node2: step 3 of 4, add peer node2: no");
  CHECK(problems[3] == "not taken: all.json: Node/x: is wrong");
  report.refused = {{"all.json", "all.json:3: is not JSON"}};
  CHECK(agent_problems(report).at(0) == "not taken: all.json:3: is not JSON");
}

TEST_CASE("agent: what of a configuration wants a restart keeps its old value") {
  state::Config running, next;
  running.paths.run = "/run/a";
  next.paths.run = "/run/b";
  next.node_name = "other";
  next.mode = state::Mode::kPermissive;
  CHECK(keep_what_needs_restart(running, next) == std::vector<std::string>{"nodeName", "paths.run"});
  CHECK(next.paths.run == "/run/a");
  CHECK(next.node_name.empty());
  CHECK(next.mode == state::Mode::kPermissive);
  CHECK(keep_what_needs_restart(running, next).empty());
}

TEST_CASE("agent metrics: the text format, with what is in labels escaped") {
  Exposition out;
  out.family("a_total", Exposition::Type::kCounter, "How many.");
  out.sample({}, std::uint64_t{18446744073709551615u});
  out.family("nothing", Exposition::Type::kGauge, "Left out.");
  out.family("b", Exposition::Type::kGauge, "How much.");
  out.sample({{"x", "1"}, {"y", "a\\b\"c\nd"}}, 0.5);
  out.sample({}, 1e-9);
  CHECK(std::move(out).text() ==
        "# HELP a_total How many.\n# TYPE a_total counter\na_total 18446744073709551615\n"
        "# HELP b How much.\n# TYPE b gauge\nb{x=\"1\",y=\"a\\\\b\\\"c\\nd\"} 0.5\nb 1e-09\n");
}

TEST_CASE("agent metrics: a node without anything, and one with a peer") {
  MetricsInput input;
  auto text = metrics_text(input);
  CHECK(text.find("sheath_ok 0\n") != std::string::npos);
  CHECK(text.find("sheath_encryption_info{encryption=\"none\",mode=\"unknown\"} 1\n") != std::string::npos);
  CHECK(text.find("sheath_agent_up 0\n") != std::string::npos);
  CHECK(text.find("sheath_peer_ready") == std::string::npos);

  input.status.installed = true;
  input.status.strict = true;
  input.status.tunnel.emplace();
  input.status.peers.resize(1);
  input.status.peers[0].node_id = 7;
  input.status.peers[0].name = "n7";
  input.status.peers[0].ready = true;
  input.status.peers[0].last_handshake_seconds = 1700000001;
  input.status.metrics.emplace();
  (*input.status.metrics)[SHEATH_DIRECTION_uplink_egress].encrypted.packets = 9;
  input.agent = full_report();
  text = metrics_text(input);
  CHECK(text.find("sheath_ok 1\n") != std::string::npos);
  CHECK(text.find("sheath_peer_ready{peer=\"n7\"} 1\n") != std::string::npos);
  CHECK(text.find("sheath_peer_last_handshake_seconds{peer=\"n7\"} 1700000001\n") != std::string::npos);
  CHECK(text.find(
            "sheath_verdict_packets_total{direction=\"uplink_egress\",reason=\"encrypted\",verdict=\"encrypt\"} 9\n") !=
        std::string::npos);
  CHECK(text.find("sheath_agent_refused_objects 1\n") != std::string::npos);
  CHECK(text.find("sheath_agent_failed_peers 1\n") != std::string::npos);
  CHECK(text.find("sheath_ipsec_keys") == std::string::npos);
}

TEST_CASE("agent http: GET and HEAD of /metrics, and clear words for the rest") {
  CHECK(http("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") ==
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: 12\r\n"
        "Connection: close\r\n\r\nsheath_ok 1\n");
  CHECK(http("GET /metrics?name=x HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200 "));
  CHECK(http("HEAD /metrics HTTP/1.1\r\n\r\n").ends_with("Connection: close\r\n\r\n"));
  CHECK(http("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
  CHECK(http("GET /metricsx HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
  CHECK(http("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n").starts_with("HTTP/1.1 405 "));
  CHECK(http("GET /metrics HTTP/1.1\r\nHo") == "(wants more)");
  CHECK(http("") == "(wants more)");
  CHECK(http("\x16\x03\x01 not http at all\r\n\r\n").starts_with("HTTP/1.1 400 "));
}

TEST_CASE("endpoint: an address and a port, as they are written") {
  for (const std::string good : {"127.0.0.1:9964", "[::1]:1", "[fd00::2]:65535"}) {
    CAPTURE(good);
    const auto endpoint = Endpoint::parse(good);
    REQUIRE(endpoint);
    CHECK(endpoint->text() == good);
  }
  for (const char* wrong :
       {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:1x", "::1:80",
        "[127.0.0.1]:80", "[::1:80", "localhost:80", " 127.0.0.1:80", "127.0.0.1:-1", "127.0.0.1:+1"}) {
    CAPTURE(wrong);
    CHECK_FALSE(Endpoint::parse(wrong));
  }
}

TEST_CASE("netlink events: what this process did to states and policies is known by its process") {
  const auto message = [](std::uint32_t process) {
    nlmsghdr header{};
    header.nlmsg_len = sizeof header;
    header.nlmsg_type = XFRM_MSG_NEWSA;
    header.nlmsg_pid = process;
    return std::string(reinterpret_cast<const char*>(&header), sizeof header);
  };
  const auto is_of_others = [](const std::string& bytes) {
    return netlink::is_of_others(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  };
  const auto own = static_cast<std::uint32_t>(getpid());
  CHECK_FALSE(is_of_others(message(own)));
  CHECK_FALSE(is_of_others(message(own) + message(own)));
  CHECK(is_of_others(message(0)));
  CHECK(is_of_others(message(own + 1)));
  CHECK(is_of_others(message(own) + message(own + 1)));
  CHECK(is_of_others(message(own) + "cut"));
}

TEST_CASE("netlink events: the backstop's table is known by its name, whole") {
  const auto names_it = [](const std::string& bytes) {
    return netlink::may_name_backstop(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  };
  CHECK(names_it(std::string("\0\1sheath\0", 9)));
  CHECK_FALSE(names_it("kube-proxy"));
  CHECK_FALSE(names_it("sheathing and more"));
  CHECK_FALSE(names_it(""));
}
