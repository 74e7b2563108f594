// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

// Where the tests of loader/bpf may make devices and pins: network and mount namespaces of this process, with a bpf
// file system of their own. Everything goes with the process.
namespace sheath::test {

// Enters them; false, with the reason on stderr, where this machine does not allow it. Call it once, before all tests.
bool enter_sandbox();

// A folder for pins that no other test uses; not made yet.
std::filesystem::path new_pin_folder();

// Runs a command of iproute2 or bpftool; true when it succeeded. Its output is thrown away.
bool run(const std::string& command);
// What it printed.
std::string output_of(const std::string& command);

// A veth that exists as long as this object does.
class TestDevice {
 public:
  explicit TestDevice(std::string name);
  ~TestDevice();
  TestDevice(const TestDevice&) = delete;
  TestDevice& operator=(const TestDevice&) = delete;

  const std::string& name() const { return name_; }
  // Deletes the device and makes one of the same name: another ifindex, no qdiscs, no programs.
  void make_anew();

 private:
  std::string name_;
};

}  // namespace sheath::test
