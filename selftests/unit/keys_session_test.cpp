// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <sys/stat.h>

#include <numeric>

#include "loader/base/encoding.hpp"
#include "loader/base/file.hpp"
#include "loader/keys/hmac.hpp"
#include "loader/keys/session.hpp"
#include "loader/keys/session_store.hpp"
#include "selftests/unit/temporary_folder.hpp"

namespace sheath::keys {
namespace {

using Bytes32 = std::array<std::uint8_t, kKeyBytes>;

// 1, 2, 3, …
Bytes32 counting_from(std::uint8_t first) {
  Bytes32 out{};
  std::iota(out.begin(), out.end(), first);
  return out;
}

IpsecKey counting_psk(const IpsecAlgorithm& algorithm) {
  std::vector<std::uint8_t> bytes(algorithm.total_bytes());
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(7 * i + 1);
  const bool aead = !algorithm.aead.empty();
  const auto hex = hex_encode(bytes);
  const auto auth = hex.substr(0, 2 * algorithm.auth_key_bytes);
  const auto line = aead ? "3 " + algorithm.aead + " " + hex + " " + std::to_string(algorithm.icv_bits)
                         : "3 " + algorithm.auth + " " + auth + " " + algorithm.cipher + " " + hex.substr(auth.size());
  auto key = IpsecKey::parse(std::span<const char>(line.data(), line.size()));
  REQUIRE(key.has_value());
  return std::move(*key);
}

Session session_of(std::uint8_t first, const IpsecAlgorithm& algorithm) {
  auto key = PrivateKey::from_bytes(counting_from(first));
  REQUIRE(key.has_value());
  return Session({3, 0xabc012, std::chrono::nanoseconds(12345)}, std::move(*key), counting_psk(algorithm));
}

std::string derived(const Session& own, const std::string& own_name, const std::string& peer_name,
                    const PublicKey& peer, KeyUse use) {
  const auto pair = Pair::of(own, {own_name, peer_name, peer});
  REQUIRE(pair.has_value());
  const auto key = pair->key(use);
  REQUIRE(key.has_value());
  return hex_encode(key->bytes());
}

IpsecAlgorithm gcm(std::size_t bytes) {
  return find_aead("rfc4106(gcm(aes))", bytes, 128).value();
}

}  // namespace

// The expected values are those of session_vectors.py, which shares no code with ours.
TEST_CASE("session: derived keys are those of an independent computation") {
  struct Row {
    IpsecAlgorithm algorithm;
    std::string transmit;
    std::string receive;
  };
  const Row rows[] = {
      {gcm(20), "d679f90dc59d47879913de68ed2a83e61886cbac", "28f6f454c8c430796d1be1bb88bbcc8ec0039e0d"},
      {gcm(36), "f3df0880e53462cf0471aecb79baec8788c73c7c1efaddfcd1f8b39f65cf085a70b0c79d",
       "b42243baea45f4d8fc8bc122b48dfd368ceac5e01dcafe9c6b2fde6d0be380083e2e3279"},
      {find_auth_cipher("hmac(sha256)", 32, "cbc(aes)", 32).value(),
       "e5c2818522d460bc7bc48638fa7f7b0d25b43417f6e696d9263931ed3629ac19"
       "b063b14523a7b2ed78969e266471022898f64f8f7424496548dca11b1b188f59",
       "306da54be50d20fba26fb063e2acb5bee97c143f6c755b1abf7d6311dc3e3040"
       "e4bcab9d82ac3c0380e4fc4a817d8fd71ada42e6639230f48d254df34fce59fa"},
  };
  for (const auto& row : rows) {
    const auto own = session_of(1, row.algorithm);
    const auto peer = session_of(101, row.algorithm);
    CHECK(hex_encode(own.public_key().bytes) == "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c");
    CHECK(derived(own, "kind-worker", "kind-worker2", peer.public_key(), KeyUse::kTransmit) == row.transmit);
    CHECK(derived(own, "kind-worker", "kind-worker2", peer.public_key(), KeyUse::kReceive) == row.receive);
  }
}

// RFC 5869, A.1.
TEST_CASE("session: HKDF gives what its RFC says") {
  const std::vector<std::uint8_t> secret(22, 0x0b);
  std::vector<std::uint8_t> salt(13), info(10), out(42);
  std::iota(salt.begin(), salt.end(), std::uint8_t{0});
  std::iota(info.begin(), info.end(), std::uint8_t{0xf0});
  const auto pseudo_random = hkdf_extract(secret, salt);
  REQUIRE(pseudo_random.has_value());
  CHECK(hex_encode(pseudo_random->bytes()) == "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
  REQUIRE(hkdf_expand(pseudo_random->bytes(), info, out).has_value());
  CHECK(hex_encode(out) == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

TEST_CASE("session: what one end sends with is what the other receives with, and nothing else is") {
  const auto own = session_of(1, gcm(20));
  const auto peer = session_of(101, gcm(20));
  const auto sends = derived(own, "a", "b", peer.public_key(), KeyUse::kTransmit);
  CHECK(sends == derived(peer, "b", "a", own.public_key(), KeyUse::kReceive));
  CHECK(sends != derived(peer, "b", "a", own.public_key(), KeyUse::kTransmit));
  CHECK(sends != derived(own, "a", "c", peer.public_key(), KeyUse::kTransmit));
  CHECK(sends != derived(session_of(2, gcm(20)), "a", "b", peer.public_key(), KeyUse::kTransmit));
  // A name and its neighbour cannot be told apart by where one ends: lengths are part of what is hashed.
  CHECK(derived(own, "ab", "c", peer.public_key(), KeyUse::kTransmit) !=
        derived(own, "a", "bc", peer.public_key(), KeyUse::kTransmit));
}

TEST_CASE("session: a peer's key of small order is refused") {
  PublicKey one;
  one.bytes[0] = 1;
  CHECK_FALSE(Pair::of(session_of(1, gcm(20)), {"a", "b", one}).has_value());
}

TEST_CASE("session: the SPI is the tag with the key ID as its last hex digit") {
  CHECK(spi_of(0xabc012, 3) == 0xabc0123);
  CHECK(spi_of(kMaxTag, 15) == 0xffffffff);
}

TEST_CASE("session: two drawings have nothing in common, and tags keep clear of others and of reserved SPIs") {
  const auto psk = counting_psk(gcm(20));
  const auto first = Session::draw(3, psk, {}, std::chrono::nanoseconds(1));
  const auto second = Session::draw(3, psk, {first->tag()}, std::chrono::nanoseconds(1));
  REQUIRE(first.has_value());
  REQUIRE(second.has_value());
  CHECK(first->public_key() != second->public_key());
  CHECK(first->tag() != second->tag());
  CHECK(spi_of(first->tag(), 1) >= 256);
}

TEST_CASE("session store: what was saved is loaded, for its owner only") {
  const test::TemporaryFolder folder;
  const SessionStore store(folder.path());
  CHECK(store.empty());
  CHECK(store.load().value().empty());
  const auto session = session_of(1, gcm(36));
  REQUIRE(store.save(session).has_value());
  const auto loaded = store.load();
  REQUIRE(loaded.has_value());
  REQUIRE(loaded->size() == 1);
  const auto& same = loaded->at(3);
  CHECK(same.public_key() == session.public_key());
  CHECK(same.tag() == session.tag());
  CHECK(same.drawn_at() == session.drawn_at());
  CHECK(same.psk().fingerprint().value() == session.psk().fingerprint().value());
  struct stat info{};
  REQUIRE(stat((folder.path() / "ipsec/session-3").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);
  REQUIRE(stat((folder.path() / "ipsec").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0700);
}

TEST_CASE("session store: a file cut short is an error that names it and holds no key") {
  const test::TemporaryFolder folder;
  const SessionStore store(folder.path());
  REQUIRE(store.save(session_of(1, gcm(20))).has_value());
  const auto file = folder.path() / "ipsec/session-3";
  const auto whole = read_file(file).value();
  for (const std::size_t length : {std::size_t{0}, std::size_t{10}, whole.size() / 2, whole.size() - 1}) {
    REQUIRE(write_file_atomically(file, whole.substr(0, length), 0600).has_value());
    const auto loaded = store.load();
    REQUIRE_FALSE(loaded.has_value());
    CHECK(loaded.error().what().find("session-3") != std::string::npos);
  }
}

TEST_CASE("session store: a retired session leaves no file, and what another name still holds is zeros") {
  const test::TemporaryFolder folder;
  const SessionStore store(folder.path());
  const auto session = session_of(1, gcm(20));
  REQUIRE(store.save(session).has_value());
  REQUIRE(store.record(session, {{"peer", session_of(5, gcm(20)).public_key()}}).has_value());
  std::filesystem::create_hard_link(folder.path() / "ipsec/session-3", folder.path() / "kept");
  REQUIRE(store.wipe(3).has_value());
  CHECK(store.empty());
  CHECK(read_file(folder.path() / "kept").value().find_first_not_of('\0') == std::string::npos);
  CHECK(store.wipe(3).has_value());
}

TEST_CASE("session store: a session drawn anew leaves nothing of the one before") {
  const test::TemporaryFolder folder;
  const SessionStore store(folder.path());
  REQUIRE(store.save(session_of(1, gcm(20))).has_value());
  std::filesystem::create_hard_link(folder.path() / "ipsec/session-3", folder.path() / "kept");
  const auto fresh = session_of(9, gcm(20));
  REQUIRE(store.save(fresh).has_value());
  CHECK(store.load().value().at(3).public_key() == fresh.public_key());
  CHECK(read_file(folder.path() / "kept").value().find_first_not_of('\0') == std::string::npos);
}

TEST_CASE("session store: the record grows, and is one session's only") {
  const test::TemporaryFolder folder;
  const SessionStore store(folder.path());
  const auto session = session_of(1, gcm(20));
  REQUIRE(store.save(session).has_value());
  CHECK(store.recorded(session).value().empty());
  const auto first = session_of(5, gcm(20)).public_key();
  const auto second = session_of(6, gcm(20)).public_key();
  REQUIRE(store.record(session, {{"kind-worker2", first}}).has_value());
  REQUIRE(store.record(session, {{"kind-worker3", second}}).has_value());
  CHECK(store.recorded(session).value() == RecordedPeers{{"kind-worker2", first}, {"kind-worker3", second}});
  CHECK(store.recorded(session_of(9, gcm(20))).value().empty());
}

TEST_CASE("session store: a record that was cut short loses no other, and of two about one peer the later one counts") {
  test::TemporaryFolder folder;
  const SessionStore store(folder.path());
  const auto session = session_of(9, gcm(20));
  const auto first = session_of(5, gcm(20)).public_key(), second = session_of(7, gcm(20)).public_key();
  REQUIRE(store.save(session).has_value());
  REQUIRE(store.record(session, {{"kind-worker2", first}}).has_value());
  const auto file = folder / "ipsec" / ("pairs-" + std::to_string(session.generation()));
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 3);
  REQUIRE(store.record(session, {{"kind-worker3", first}}).has_value());
  CHECK(store.recorded(session).value() == RecordedPeers{{"kind-worker3", first}});

  REQUIRE(store.record(session, {{"kind-worker3", second}}).has_value());
  CHECK(store.recorded(session).value() == RecordedPeers{{"kind-worker3", second}});
  CHECK(test::mode_of(file) == 0600);
}

TEST_CASE("session store: many records are written without those that they replace") {
  test::TemporaryFolder folder;
  const SessionStore store(folder.path());
  const auto session = session_of(9, gcm(20));
  RecordedPeers peers;
  for (int i = 0; i < 100; ++i) peers["node-" + std::to_string(i)] = session_of(5, gcm(20)).public_key();
  REQUIRE(store.save(session).has_value());
  REQUIRE(store.record(session, peers).has_value());
  const auto file = folder / "ipsec" / ("pairs-" + std::to_string(session.generation()));
  const auto size = std::filesystem::file_size(file);
  REQUIRE(store.record(session, {*peers.begin()}).has_value());
  CHECK(std::filesystem::file_size(file) > size);
  REQUIRE(store.record(session, peers).has_value());
  CHECK(std::filesystem::file_size(file) == size);
  CHECK(store.recorded(session).value() == peers);
}

TEST_CASE("session: the digests of a pair are those of its two keys, and the other end has them the other way round") {
  const auto ours = session_of(1, gcm(20));
  const auto theirs = session_of(100, gcm(20));
  const auto keys = Pair::of(ours, {"a", "b", theirs.public_key()});
  const auto keys_there = Pair::of(theirs, {"b", "a", ours.public_key()});
  REQUIRE(keys.has_value());
  REQUIRE(keys_there.has_value());
  const auto pair = keys->digests();
  const auto other = keys_there->digests();
  REQUIRE(pair.has_value());
  REQUIRE(other.has_value());
  const auto key = keys->key(KeyUse::kTransmit);
  CHECK(pair->transmit == digest_of({}, key->bytes()));
  CHECK(pair->transmit == other->receive);
  CHECK(pair->receive == other->transmit);
  CHECK(pair->transmit != pair->receive);
}

}  // namespace sheath::keys
