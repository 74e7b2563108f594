// SPDX-License-Identifier: Apache-2.0
#include "loader/state/config_keys.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "loader/state/nearest.hpp"
#include "loader/state/value_parsers.hpp"

namespace sheath::state {
namespace {

// --- codecs: text to value and back, with what the help calls it --------------------------------------------------

// Specialised per enum: its values' names, in the order of the enum.
template <typename Enum>
struct EnumNames;
template <>
struct EnumNames<Encryption> {
  static constexpr std::array<std::string_view, 3> kNames{"wireguard", "ipsec", "none"};
  static constexpr std::string_view kSyntax = "wireguard|ipsec|none";
};
template <>
struct EnumNames<Mode> {
  static constexpr std::array<std::string_view, 2> kNames{"strict", "permissive"};
  static constexpr std::string_view kSyntax = "strict|permissive";
};
template <>
struct EnumNames<Routing> {
  static constexpr std::array<std::string_view, 2> kNames{"native", "vxlan"};
  static constexpr std::string_view kSyntax = "native|vxlan";
};
template <>
struct EnumNames<Delivery> {
  static constexpr std::array<std::string_view, 3> kNames{"auto", "stack", "uplink"};
  static constexpr std::string_view kSyntax = "auto|stack|uplink";
};
constexpr std::array<std::string_view, 3> kSources{"file", "kubernetes", "etcd"};

// Index of `text` among the names, else an error with the nearest as hint.
Result<std::size_t> parse_choice(std::string_view text, std::span<const std::string_view> names) {
  const auto found = std::ranges::find(names, text);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  std::string all;
  for (const auto name : names) all += (all.empty() ? "" : ", ") + std::string(name);
  return fail(Error::misuse("\"" + std::string(text) + "\" is none of: " + all).hint(nearest_hint(text, names)));
}

template <typename Enum>
struct Choice {
  static constexpr auto kShape = ValueShape::kText;
  static constexpr std::string_view kValueName = EnumNames<Enum>::kSyntax;
  static Result<Enum> parse(std::string_view text) {
    const auto index = parse_choice(text, EnumNames<Enum>::kNames);
    if (!index) return fail(index.error());
    return static_cast<Enum>(*index);
  }
  static std::string text(Enum value) { return std::string(EnumNames<Enum>::kNames[static_cast<std::size_t>(value)]); }
};

struct Source {
  static constexpr auto kShape = ValueShape::kText;
  static constexpr std::string_view kValueName = "file|kubernetes|etcd";
  static Result<std::string> parse(std::string_view text) {
    const auto index = parse_choice(text, kSources);
    if (!index) return fail(index.error());
    return std::string(text);
  }
  static std::string text(const std::string& value) { return value; }
};

struct Bool {
  static constexpr auto kShape = ValueShape::kBool;
  static constexpr std::string_view kValueName = "true|false";
  static Result<bool> parse(std::string_view text) { return parse_bool(text); }
  static std::string text(bool value) { return value ? "true" : "false"; }
};

template <typename Int, std::uint32_t kMin, std::uint32_t kMax>
struct Number {
  static constexpr auto kShape = ValueShape::kNumber;
  static constexpr std::string_view kValueName = "NUMBER";
  static Result<Int> parse(std::string_view text) {
    const auto value = parse_number(text, {kMin, kMax});
    if (!value) return fail(value.error());
    return static_cast<Int>(*value);
  }
  static std::string text(Int value) { return std::to_string(value); }
};

template <std::int64_t kMinSeconds>
struct Duration {
  static constexpr auto kShape = ValueShape::kText;
  static constexpr std::string_view kValueName = "DURATION";
  static Result<std::chrono::seconds> parse(std::string_view text) {
    return parse_duration(text, {std::chrono::seconds(kMinSeconds), kAnyDuration.max});
  }
  static std::string text(std::chrono::seconds value) { return duration_text(value); }
};

// 0: never.
template <std::int64_t kMinSeconds>
struct DurationOrNever : Duration<kMinSeconds> {
  static Result<std::chrono::seconds> parse(std::string_view text) {
    const auto value = parse_duration(text);
    if (value && value->count() == 0) return value;
    return Duration<kMinSeconds>::parse(text);
  }
};

struct Path {
  static constexpr auto kShape = ValueShape::kText;
  static constexpr std::string_view kValueName = "PATH";
  static Result<std::filesystem::path> parse(std::string_view text) { return parse_path(text); }
  static std::string text(const std::filesystem::path& value) { return value.string(); }
};

constexpr std::string_view kOff = "off";

// `off` is empty.
struct ListenAddress {
  static constexpr auto kShape = ValueShape::kText;
  static constexpr std::string_view kValueName = "ADDRESS:PORT|off";
  static Result<std::string> parse(std::string_view text) {
    if (text == kOff) return std::string();
    if (const auto endpoint = Endpoint::parse(text)) return endpoint->text();
    return fail(Error::misuse("\"" + std::string(text) + "\" is no address and port")
                    .hint("such as 127.0.0.1:9964 or [::1]:9964; or off"));
  }
  static std::string text(const std::string& value) { return value.empty() ? std::string(kOff) : value; }
};

struct PathOrOff : Path {
  static constexpr std::string_view kValueName = "PATH|off";
  static Result<std::filesystem::path> parse(std::string_view text) {
    if (text == kOff) return std::filesystem::path();
    return Path::parse(text);
  }
  static std::string text(const std::filesystem::path& value) {
    return value.empty() ? std::string(kOff) : value.string();
  }
};

enum class Word { kNodeName, kDevice, kDeviceGlob, kLabel };

template <Word kWord>
struct Text {
  static constexpr auto kShape = ValueShape::kText;
  static constexpr std::array<std::string_view, 4> kNames{"NAME", "DEVICE", "PATTERN", "LABEL"};
  static constexpr std::string_view kValueName = kNames[static_cast<std::size_t>(kWord)];
  static Result<std::string> parse(std::string_view text) {
    if constexpr (kWord == Word::kNodeName) return parse_node_name(text);
    if constexpr (kWord == Word::kDevice) return parse_device(text);
    if constexpr (kWord == Word::kDeviceGlob) return parse_device_glob(text);
    if constexpr (kWord == Word::kLabel) return parse_label(text);
  }
  static std::string text(const std::string& value) { return value; }
};

struct NodeIp {
  static constexpr std::string_view kValueName = "ADDRESS";
  static Result<IpAddress> parse(std::string_view text) { return parse_node_ip(text); }
  static std::string text(const IpAddress& value) { return value.text(); }
};

struct PodCidr {
  static constexpr std::string_view kValueName = "CIDR";
  static Result<Cidr> parse(std::string_view text) { return parse_pod_cidr(text); }
  static std::string text(const Cidr& value) { return value.text(); }
};

// --- from a codec and a field to a key ----------------------------------------------------------------------------

struct Names {
  std::string_view path;
  std::string_view flag;
  std::string_view help;
  std::string_view default_note;
};

// `kField` maps a Config& (or const) to a reference to the field.
template <typename Codec, auto kField>
constexpr ConfigKey scalar(const Names& names) {
  return {names.path,
          names.flag,
          Codec::kShape,
          Codec::kValueName,
          names.help,
          names.default_note,
          [](Config& config, std::string_view text) -> Result<> {
            auto value = Codec::parse(text);
            if (!value) return fail(std::move(value.error()));
            kField(config) = *std::move(value);
            return {};
          },
          [](const Config& config) { return std::vector<std::string>{Codec::text(kField(config))}; },
          nullptr};
}

template <typename Codec, auto kField>
constexpr ConfigKey list(const Names& names) {
  return {names.path,
          names.flag,
          ValueShape::kList,
          Codec::kValueName,
          names.help,
          names.default_note,
          [](Config& config, std::string_view text) -> Result<> {
            auto value = Codec::parse(text);
            if (!value) return fail(std::move(value.error()));
            auto& all = kField(config);
            if (std::ranges::find(all, *value) != all.end()) {
              return fail(Error::misuse("\"" + std::string(text) + "\" is given twice"));
            }
            all.push_back(*std::move(value));
            return {};
          },
          [](const Config& config) {
            std::vector<std::string> out;
            for (const auto& value : kField(config)) out.push_back(Codec::text(value));
            return out;
          },
          [](Config& config) { kField(config).clear(); }};
}

// A member's name cannot stand in parentheses.
#define FIELD(member) [](auto& config) -> auto& { return config.member; }  // NOLINT(bugprone-macro-parentheses)

constexpr auto kKeys = std::to_array<ConfigKey>({
    scalar<Text<Word::kNodeName>, FIELD(node_name)>(
        {"nodeName", "node-name", "this node's name in the cluster", "the host name"}),
    scalar<Choice<Encryption>, FIELD(encryption)>({"encryption", "encryption", "what encrypts", ""}),
    scalar<Bool, FIELD(node_encryption)>(
        {"nodeEncryption", "node-encryption", "encrypt the nodes' own traffic too, not only their pods'", ""}),
    list<Text<Word::kLabel>, FIELD(node_encryption_opt_out_labels)>(
        {"nodeEncryptionOptOutLabels", "node-encryption-opt-out-labels",
         "nodes with one of these labels keep their own traffic in plaintext", ""}),
    scalar<Choice<Mode>, FIELD(mode)>(
        {"mode", "mode", "what happens to what cannot be encrypted: strict drops it, permissive lets it pass", ""}),
    scalar<Bool, FIELD(backstop)>(
        {"backstop", "backstop",
         "in strict mode drop on devices that are not covered yet, by nftables, what programs would encrypt", ""}),
    list<Text<Word::kDevice>, FIELD(devices)>(
        {"devices", "devices", "uplinks: the devices that reach other nodes", "the default route's"}),
    scalar<Bool, FIELD(fast_path)>(
        {"fastPath", "fast-path", "pass the host stack by; refused where netfilter rules would be bypassed", ""}),
    scalar<Bool, FIELD(fast_path_force)>({"fastPathForce", "fast-path-force", "use the fast path even there", ""}),
    list<Text<Word::kDeviceGlob>, FIELD(pod_devices)>({"podDevices", "pod-devices",
                                                       "host sides of pods, for the fast path",
                                                       "veths that a /32 or /128 route points at"}),
    list<PodCidr, FIELD(cluster_pod_cidrs)>(
        {"clusterPodCIDRs", "cluster-pod-cidrs",
         "all pods' addresses; in strict mode what goes to a part that no node has is dropped", ""}),
    list<NodeIp, FIELD(node_ips)>(
        {"nodeIPs", "node-ips", "this node's own addresses", "those of its node object, else the uplink's"}),
    list<PodCidr, FIELD(pod_cidrs)>(
        {"podCIDRs", "pod-cidrs", "the addresses of this node's own pods", "those of its node object"}),
    list<NodeIp, FIELD(router_ips)>(
        {"routerIPs", "router-ips", "this node's ends of ESP inside VXLAN", "those of its node object"}),
    scalar<Choice<Routing>, FIELD(routing)>(
        {"routing", "routing", "native: the underlay routes pod addresses; vxlan: packets to pods go into cilium_vxlan",
         ""}),
    scalar<Choice<Delivery>, FIELD(delivery)>(
        {"delivery", "delivery",
         "where decrypted packets enter the host stack: at the tunnel device, or at the uplink because of rp_filter",
         ""}),
    scalar<Source, FIELD(nodes.source)>({"nodes.source", "nodes-source", "where node objects come from", ""}),
    scalar<Path, FIELD(nodes.path)>({"nodes.path", "nodes-path", "the folder of node objects, with source file", ""}),
    scalar<Number<std::uint16_t, 1, 65535>, FIELD(wireguard.listen_port)>(
        {"wireguard.listenPort", "wireguard-listen-port", "UDP port, the same on all nodes", ""}),
    scalar<Path, FIELD(wireguard.private_key_file)>({"wireguard.privateKeyFile", "wireguard-private-key-file",
                                                     "made on first use", "wireguard.key in paths.state"}),
    scalar<Number<std::uint16_t, 0, 65535>, FIELD(wireguard.persistent_keepalive)>(
        {"wireguard.persistentKeepalive", "wireguard-persistent-keepalive",
         "seconds between packets that keep a NAT open; 0: none", ""}),
    scalar<Path, FIELD(ipsec.key_file)>({"ipsec.keyFile", "ipsec-key-file", "the pre-shared key", ""}),
    scalar<Duration<10>, FIELD(ipsec.key_rotation_duration)>(
        {"ipsec.keyRotationDuration", "ipsec-key-rotation-duration", "how long an old key is accepted at most", ""}),
    scalar<DurationOrNever<60>, FIELD(ipsec.rotate_every)>(
        {"ipsec.rotateEvery", "ipsec-rotate-every", "how often session keys change; 0s: with the key file only", ""}),
    // XFRMA_REPLAY_ESN_MAX of the kernel is 4096.
    scalar<Number<std::uint32_t, 32, 4096>, FIELD(ipsec.replay_window)>(
        {"ipsec.replayWindow", "ipsec-replay-window", "packets that may arrive out of order", ""}),
    scalar<Duration<1>, FIELD(agent.resync)>(
        {"agent.resync", "agent-resync", "how often the agent looks without a reason, and mends what it finds", ""}),
    scalar<ListenAddress, FIELD(metrics.listen)>(
        {"metrics.listen", "metrics-listen", "where the agent answers Prometheus, over HTTP", ""}),
    scalar<PathOrOff, FIELD(metrics.textfile)>(
        {"metrics.textfile", "metrics-textfile", "a file that the agent writes the same to, for node_exporter", ""}),
    scalar<Path, FIELD(paths.bpffs)>({"paths.bpffs", "bpffs", "where maps, programs and links are pinned", ""}),
    scalar<Path, FIELD(paths.run)>({"paths.run", "run-dir", "state until the next boot", ""}),
    scalar<Path, FIELD(paths.state)>({"paths.state", "state-dir", "state that survives a boot", ""}),
});

#undef FIELD

const ConfigKey* find_by(std::string_view ConfigKey::* name, std::string_view value) {
  const auto found = std::ranges::find(kKeys, value, name);
  return found == kKeys.end() ? nullptr : &*found;
}

}  // namespace

std::span<const ConfigKey> config_keys() {
  return kKeys;
}

const ConfigKey* find_config_key(std::string_view path) {
  return find_by(&ConfigKey::path, path);
}

const ConfigKey* find_config_flag(std::string_view flag) {
  return find_by(&ConfigKey::flag, flag);
}

std::string default_text(const ConfigKey& key) {
  if (!key.default_note.empty()) return std::string(key.default_note);
  std::string all;
  for (const auto& text : key.get(Config{})) all += (all.empty() ? "" : ",") + text;
  return all.empty() ? "[]" : all;
}

}  // namespace sheath::state
