// SPDX-License-Identifier: Apache-2.0
// sheath_traffic: an echo server and its clients, with payload that an onlooker would recognise.
#include <cstdlib>
#include <cxxopts.hpp>
#include <iostream>
#include <string>

#include "selftests/harness/traffic_client.hpp"
#include "selftests/harness/traffic_server.hpp"

namespace {

using sheath::Error;
using sheath::fail;
using sheath::Result;
using sheath::traffic::ClientOptions;
using sheath::traffic::Fragmentation;

constexpr const char* kUsage = R"(sheath_traffic: traffic with marked payload, for tests

  sheath_traffic serve [--port N] [--daemon PIDFILE]   echo TCP and UDP, IPv4 and IPv6; --daemon returns once it listens
  sheath_traffic tcp  ADDRESS [options]                send --bytes over --count connections, compare what comes back
  sheath_traffic udp  ADDRESS [options]                send numbered datagrams, count answers, losses, reorderings
  sheath_traffic pmtu ADDRESS [options]                send packets of --bytes with DF until a smaller path MTU is known

Exit code: 0 all came back as sent, 1 it did not, 2 misuse.
)";

cxxopts::Options make_options() {
  cxxopts::Options options("sheath_traffic");
  // clang-format off
  options.add_options()
      ("command", "", cxxopts::value<std::string>())
      ("address", "", cxxopts::value<std::string>())
      ("port", "of the server", cxxopts::value<std::uint16_t>()->default_value("7000"))
      ("daemon", "go into the background, write the process ID", cxxopts::value<std::string>())
      ("marker", "the payload, over and over", cxxopts::value<std::string>()->default_value("SHEATH-MARKED-PAYLOAD"))
      ("bytes", "per connection, datagram or (pmtu) IP packet", cxxopts::value<std::size_t>()->default_value("64"))
      ("count", "connections or datagrams", cxxopts::value<std::uint64_t>()->default_value("1"))
      ("until", "datagrams until this file exists", cxxopts::value<std::string>())
      ("interval-ms", "between two datagrams", cxxopts::value<int>()->default_value("0"))
      ("patience-ms", "for an answer", cxxopts::value<int>()->default_value("5000"))
      ("no-df", "let routers fragment the datagrams");
  // clang-format on
  options.parse_positional({"command", "address"});
  return options;
}

Result<ClientOptions> client_options(const cxxopts::ParseResult& given) {
  if (given.count("address") == 0) return fail(Error::misuse("which address?"));
  auto address = sheath::IpAddress::parse(given["address"].as<std::string>());
  if (!address) return fail(address.error());
  ClientOptions options;
  options.to = {.address = *address, .port = given["port"].as<std::uint16_t>()};
  options.marker = given["marker"].as<std::string>();
  if (options.marker.empty()) return fail(Error::misuse("an empty marker marks nothing"));
  options.bytes = given["bytes"].as<std::size_t>();
  options.count = given["count"].as<std::uint64_t>();
  if (given.count("until") > 0) options.until = given["until"].as<std::string>();
  options.interval = std::chrono::milliseconds(given["interval-ms"].as<int>());
  options.patience = std::chrono::milliseconds(given["patience-ms"].as<int>());
  if (given.count("no-df") > 0) options.fragmentation = Fragmentation::kAllowed;
  return options;
}

Result<> tcp(const ClientOptions& options) {
  if (auto done = sheath::traffic::run_tcp(options); !done) return done;
  std::cout << "connections " << options.count << " bytes " << options.bytes << " echoed\n";
  return {};
}

Result<> udp(const ClientOptions& options) {
  auto tally = sheath::traffic::run_udp(options);
  if (!tally) return fail(tally.error());
  const auto lost = tally->sent - tally->answered;
  std::cout << "sent " << tally->sent << " answered " << tally->answered << " lost " << lost << " reordered "
            << tally->reordered << " refused " << tally->refused << "\n";
  if (lost != 0) return fail(std::to_string(lost) + " datagrams without an answer");
  return {};
}

Result<> pmtu(const ClientOptions& options) {
  auto mtu = sheath::traffic::learn_path_mtu(options);
  if (!mtu) return fail(mtu.error());
  std::cout << "path-mtu " << *mtu << "\n";
  return {};
}

Result<> run(const cxxopts::ParseResult& given) {
  const auto command = given.count("command") > 0 ? given["command"].as<std::string>() : "";
  if (command == "serve") {
    std::optional<std::filesystem::path> pid_file;
    if (given.count("daemon") > 0) pid_file = given["daemon"].as<std::string>();
    return sheath::traffic::serve(given["port"].as<std::uint16_t>(), pid_file);
  }
  using Client = Result<> (*)(const ClientOptions&);
  const Client client = command == "tcp" ? tcp : command == "udp" ? udp : command == "pmtu" ? pmtu : nullptr;
  if (client == nullptr) return fail(Error::misuse("no such command: " + command).hint(kUsage));
  auto options = client_options(given);
  if (!options) return fail(options.error());
  return client(*options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto done = run(make_options().parse(argc, argv));
    if (done) return 0;
    std::cerr << "sheath_traffic: " << done.error().what() << "\n" << done.error().hint();
    return done.error().kind() == sheath::ErrorKind::kMisuse ? 2 : 1;
  } catch (const cxxopts::exceptions::exception& misuse) {
    std::cerr << "sheath_traffic: " << misuse.what() << "\n" << kUsage;
    return 2;
  }
}
