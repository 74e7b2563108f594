// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <linux/netlink.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "loader/netlink/answer.hpp"

using namespace sheath;
using namespace sheath::netlink;

namespace {

constexpr std::uint32_t kSequence = 5;
constexpr std::uint16_t kData = 77;

using Buffer = std::vector<std::uint8_t>;

void append(Buffer& to, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  to.insert(to.end(), bytes, bytes + size);
  to.resize((to.size() + 3) & ~std::size_t{3});
}

Buffer message(std::uint16_t type, std::uint16_t flags, const Buffer& payload, std::uint32_t sequence = kSequence) {
  const nlmsghdr header{static_cast<std::uint32_t>(sizeof(nlmsghdr) + payload.size()), type, flags, sequence, 0};
  Buffer out;
  append(out, &header, sizeof header);
  append(out, payload.data(), payload.size());
  return out;
}

// The words of an extended ack.
Buffer words(const std::string& text) {
  const nlattr header{static_cast<std::uint16_t>(sizeof(nlattr) + text.size() + 1), NLMSGERR_ATTR_MSG};
  Buffer out;
  append(out, &header, sizeof header);
  append(out, text.c_str(), text.size() + 1);
  return out;
}

Buffer acknowledgement(int error, std::uint16_t flags, const Buffer& tail,
                       std::uint32_t request_size = sizeof(nlmsghdr)) {
  nlmsgerr body{};
  body.error = -error;
  body.msg.nlmsg_len = request_size;
  Buffer payload;
  append(payload, &body, sizeof body);
  append(payload, tail.data(), tail.size());
  return message(NLMSG_ERROR, flags, payload);
}

Buffer operator+(Buffer left, const Buffer& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

struct Counter {
  int count = 0;
  Result<> outcome;
  ReplyHandler handler = [this](const Reply& reply) -> Result<> {
    CHECK(reply.type == kData);
    ++count;
    return outcome;
  };
};

}  // namespace

TEST_CASE("netlink answer: replies, then the acknowledgement") {
  Counter counter;
  Answer answer(kSequence, counter.handler);
  answer.take(message(kData, 0, {1, 2, 3, 4}) + message(kData, 0, {5}));
  CHECK_FALSE(answer.finished());
  answer.take(acknowledgement(0, NLM_F_CAPPED, {}));
  CHECK(answer.finished());
  CHECK(answer.result());
  CHECK(counter.count == 2);
}

TEST_CASE("netlink answer: what belongs to another request is passed over") {
  Counter counter;
  Answer answer(kSequence, counter.handler);
  answer.take(message(kData, 0, {}, kSequence - 1) + message(NLMSG_DONE, 0, {0, 0, 0, 0}, kSequence - 1));
  CHECK_FALSE(answer.finished());
  CHECK(counter.count == 0);
}

TEST_CASE("netlink answer: an error has the kernel's own words, whether the request came back with it or not") {
  const ReplyHandler none;
  for (const bool capped : {true, false}) {
    CAPTURE(capped);
    Answer answer(kSequence, none);
    const auto flags = static_cast<std::uint16_t>(NLM_F_ACK_TLVS | (capped ? NLM_F_CAPPED : 0));
    const Buffer echo(capped ? 0 : 12, 0xff);
    answer.take(acknowledgement(EOPNOTSUPP, flags, echo + words("Unknown device type"), sizeof(nlmsghdr) + 12));
    REQUIRE(answer.finished());
    const auto error = answer.result().error();
    CHECK(error.what() == "Operation not supported (EOPNOTSUPP): Unknown device type");
    CHECK(error.error_number() == EOPNOTSUPP);
  }
}

TEST_CASE("netlink answer: EPERM says what is needed") {
  const ReplyHandler none;
  Answer answer(kSequence, none);
  answer.take(acknowledgement(EPERM, 0, Buffer(sizeof(nlmsghdr), 0)));
  CHECK(answer.result().error().what() == "Operation not permitted (EPERM)");
  CHECK(answer.result().error().hint() == "needs CAP_NET_ADMIN");
}

TEST_CASE("netlink answer: a dump ends with its error, and remembers an interruption") {
  Counter counter;
  Answer answer(kSequence, counter.handler);
  answer.take(message(kData, NLM_F_MULTI | NLM_F_DUMP_INTR, {}));
  CHECK_FALSE(answer.finished());
  int error = -ENODEV;
  Buffer payload;
  append(payload, &error, sizeof error);
  answer.take(message(NLMSG_DONE, NLM_F_MULTI | NLM_F_ACK_TLVS, payload + words("gone")));
  CHECK(answer.interrupted());
  CHECK(answer.result().error().what() == "No such device (ENODEV): gone");
}

TEST_CASE("netlink answer: after a handler's error the rest is read, but not handled") {
  Counter counter;
  counter.outcome = fail("first");
  Answer answer(kSequence, counter.handler);
  answer.take(message(kData, 0, {}) + message(kData, 0, {}));
  CHECK_FALSE(answer.finished());
  answer.take(message(NLMSG_DONE, 0, {0, 0, 0, 0}));
  CHECK(answer.finished());
  CHECK(counter.count == 1);
  CHECK(answer.result().error().what() == "first");
}

TEST_CASE("netlink answer: a message that claims to be longer than its datagram ends it with an error") {
  const ReplyHandler none;
  for (const std::uint32_t length : {0u, 15u, 21u, 0xffffffffu}) {
    CAPTURE(length);
    auto datagram = message(kData, 0, {1, 2, 3, 4});
    std::memcpy(datagram.data(), &length, sizeof length);
    Answer answer(kSequence, none);
    answer.take(datagram);
    CHECK(answer.finished());
    CHECK_FALSE(answer.result().has_value());
  }
  Answer answer(kSequence, none);
  answer.take(message(NLMSG_ERROR, 0, {0}));
  CHECK_FALSE(answer.result().has_value());
}
