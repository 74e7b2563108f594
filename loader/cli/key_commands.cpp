// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "loader/cli/commands.hpp"
#include "loader/keys/ipsec_key.hpp"
#include "loader/state/value_parsers.hpp"

namespace sheath::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kDefaultAlgorithm = "rfc4106(gcm(aes))";
constexpr std::uint32_t kDefaultSize = 128;

std::string option_or(const Invocation& invocation, std::string_view name, std::string_view fallback) {
  const auto found = invocation.options.find(name);
  return found == invocation.options.end() ? std::string(fallback) : found->second;
}

// --file, else the configuration's ipsec.keyFile.
Result<std::filesystem::path> key_file(const Invocation& invocation) {
  if (invocation.has("file")) {
    if (auto file = std::filesystem::path(invocation.options.find("file")->second); !file.empty()) return file;
    return fail(Error::misuse("--file: wants a path"));
  }
  const auto loaded = state::load_config(invocation.config);
  if (!loaded) return fail(loaded.error());
  return loaded->config.ipsec.key_file;
}

Json key_json(const keys::IpsecKey& key, const std::string& fingerprint) {
  const auto& algorithm = key.algorithm();
  return {{"id", key.id()},
          {"algorithm", algorithm.text()},
          {"size", algorithm.cipher_bits()},
          {"icv", algorithm.icv_bits},
          {"fingerprint", fingerprint}};
}

std::string key_text(const keys::IpsecKey& key, const std::string& fingerprint) {
  const auto& algorithm = key.algorithm();
  return "key " + std::to_string(key.id()) + ", " + algorithm.text() + ", " + std::to_string(algorithm.cipher_bits()) +
         " bits, ICV " + std::to_string(algorithm.icv_bits) + ", fingerprint " + fingerprint;
}

// The key's line between two texts, in secret memory.
Result<Outcome> with_line(std::string_view before, const keys::IpsecKey& key, std::string_view after) {
  const auto line = key.line();
  if (!line) return fail(line.error());
  auto secret = keys::SecretBuffer::make(before.size() + line->chars().size() + after.size());
  if (!secret) return fail(std::move(secret.error()));
  auto next = std::ranges::copy(before, secret->chars().begin()).out;
  next = std::ranges::copy(line->chars(), next).out;
  std::ranges::copy(after, next);
  Outcome outcome;
  outcome.secret = std::move(*secret);
  return outcome;
}

Result<Outcome> generate(const Invocation& invocation) {
  if (!invocation.has("id")) return fail(Error::misuse("--id is missing").hint("sheath key generate --id 3"));
  const auto id = state::parse_number(option_or(invocation, "id", ""), {1, keys::kMaxKeyId});
  if (!id) return fail(Error(id.error()).context("--id"));
  std::uint32_t bits = kDefaultSize;
  const auto algorithm_name = option_or(invocation, "algorithm", kDefaultAlgorithm);
  if (algorithm_name != kDefaultAlgorithm) bits = 256;
  if (invocation.has("size")) {
    const auto size = state::parse_number(option_or(invocation, "size", ""), {1, 512});
    if (!size) return fail(Error(size.error()).context("--size"));
    bits = *size;
  }
  const auto algorithm = keys::find_aead_by_size(algorithm_name, bits);
  if (!algorithm) return fail(algorithm.error());
  const auto key = keys::IpsecKey::generate(static_cast<std::uint8_t>(*id), *algorithm);
  if (!key) return fail(key.error());
  if (!invocation.json()) return with_line("", *key, "\n");
  const auto fingerprint = key->fingerprint();
  if (!fingerprint) return fail(fingerprint.error());
  // The line needs no escapes: it goes into the text behind the last member.
  constexpr std::string_view kEnd = "\n}\n";
  auto json = json_text(key_json(*key, *fingerprint));
  json.resize(json.size() - kEnd.size());
  return with_line(json + ",\n  \"key\": \"", *key, "\"" + std::string(kEnd));
}

Result<Outcome> inspect(const Invocation& invocation) {
  const auto file = key_file(invocation);
  if (!file) return fail(file.error());
  const auto key = keys::load_ipsec_key(*file);
  if (!key) return fail(key.error());
  const auto fingerprint = key->fingerprint();
  if (!fingerprint) return fail(fingerprint.error());
  if (invocation.json()) return Outcome{json_text(key_json(*key, *fingerprint))};
  return Outcome{key_text(*key, *fingerprint) + "\n"};
}

Result<Outcome> rotate(const Invocation& invocation) {
  const auto file = key_file(invocation);
  if (!file) return fail(file.error());
  const auto old = keys::load_ipsec_key(*file);
  if (!old) return fail(old.error());
  const auto next = keys::IpsecKey::generate(keys::next_key_id(old->id()), old->algorithm());
  if (!next) return fail(next.error());
  const auto before = old->fingerprint();
  const auto after = next->fingerprint();
  if (!before || !after) return fail(before ? after.error() : before.error());
  if (auto saved = keys::save_ipsec_key(*file, *next); !saved) return fail(std::move(saved.error()));
  if (invocation.json()) {
    return Outcome{json_text({{"from", key_json(*old, *before)}, {"to", key_json(*next, *after)}})};
  }
  return Outcome{"was " + key_text(*old, *before) + "\nnow " + key_text(*next, *after) + "\n"};
}

constexpr CommandOption kFileOption{"file", "FILE", "the key file; default: ipsec.keyFile of the configuration"};

}  // namespace

Command key_generate_command() {
  return {
      .name = "key generate",
      .summary = "prints a fresh pre-shared key for IPsec",
      .arguments = "",
      .details =
          "One line, as a key file or a Kubernetes Secret holds it: ID, algorithm, key, size of the check\n"
          "value in bits. It is the one command that prints a key: send it where it belongs.",
      .options = {{"id", "ID", "1 to 15"},
                  {"algorithm", "NAME", "rfc4106(gcm(aes)), the default, or rfc7539esp(chacha20,poly1305)"},
                  {"size", "BITS", "of the cipher's key: 128, the default, 192 or 256; 256 with ChaCha20"}},
      .examples = {{"(umask 077; sheath key generate --id 3 >/etc/ipsec/keys)", ""},
                   {"sheath key generate --id 3 --size 256", ""},
                   {"kubectl create secret generic sheath-ipsec --from-literal=keys=\"$(sheath key generate --id 3)\"",
                    ""}},
      .run = generate};
}

Command key_rotate_command() {
  return {.name = "key rotate",
          .summary = "replaces the key file by its successor",
          .arguments = "",
          .details =
              "The next ID (15 is followed by 1), the same algorithm and size, a fresh key; in one rename. The\n"
              "nodes take it up with their next apply, and lose no packet on the way.",
          .options = {kFileOption},
          .examples = {{"sheath key rotate", ""}, {"sheath key rotate --file ./keys", ""}},
          .run = rotate};
}

Command key_inspect_command() {
  return {.name = "key inspect",
          .summary = "says what a key file holds, but for the key",
          .arguments = "",
          .details = "ID, algorithm, size and fingerprint: two files with the same fingerprint hold the same key.",
          .options = {kFileOption},
          .examples = {{"sheath key inspect", ""}, {"sheath key inspect --file ./keys -o json", ""}},
          .run = inspect};
}

}  // namespace sheath::cli
