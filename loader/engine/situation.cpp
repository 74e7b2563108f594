// SPDX-License-Identifier: Apache-2.0
#include "loader/engine/situation.hpp"

#include <linux/netlink.h>

#include <algorithm>
#include <span>
#include <utility>

#include "loader/engine/preflight.hpp"
#include "loader/keys/key_file.hpp"
#include "loader/plan/model.hpp"
#include "loader/state/node_source.hpp"

namespace sheath::engine {
namespace {

// The public half, all zeros where there is no key and none may be made. Nothing is made before the rest of the input
// was found good.
Result<keys::PublicKey> public_key(const Session& session) {
  const auto& file = session.config.wireguard.private_key_file;
  auto key = session.dry_run ? keys::load_private_key(file) : keys::load_or_create_private_key(file);
  if (key) return key->public_key();
  if (session.dry_run && key.error().error_number() == ENOENT) return keys::PublicKey{};
  return fail(std::move(key.error()).context("wireguard.privateKeyFile"));
}

Result<> add_own_key(const Session& session, std::span<const state::NodeObject> objects, const IpsecMaterial* ipsec,
                     state::Node& own) {
  if (session.config.encryption == state::Encryption::kNone) return {};
  if (ipsec != nullptr) {
    ipsec->describe(own);
    return {};
  }
  // Judge the input first: a cluster that is refused makes no key.
  if (const auto cluster = state::make_cluster(session.config, objects, own); !cluster) return fail(cluster.error());
  const auto key = public_key(session);
  if (!key) return fail(key.error());
  if (*key != keys::PublicKey{}) own.wireguard_key = *key;
  return {};
}

bool says_it_encrypts(const state::Config& config, std::span<const state::NodeObject> objects) {
  return std::ranges::any_of(objects, [&](const state::NodeObject& object) {
    return object.kind == state::ObjectKind::kPublished && object.node.name == config.node_name &&
           object.node.node_encryption == true;
  });
}

// An own object that is missing is no other's fault, and comes up later.
Result<> check_objects(const state::Config& config, std::span<const state::NodeObject> objects,
                       std::span<const IpAddress> addresses) {
  auto own = state::own_node(config, objects, addresses);
  if (!own) {
    own.emplace();
    own->name = config.node_name;
  }
  const auto cluster = state::make_cluster(config, objects, *own);
  if (!cluster) return fail(cluster.error());
  return {};
}

Result<std::vector<state::NodeObject>> read_objects(const Session& session, state::NodeSource& source,
                                                    std::span<const IpAddress> addresses) {
  if (session.kept == nullptr) return source.read();
  return session.kept->good.read(source, [&](std::span<const state::NodeObject> objects) {
    return check_objects(session.config, objects, addresses);
  });
}

Result<Input> read_input(const Session& session, const plan::Facts& facts, const IpsecMaterial* ipsec) {
  const auto made = state::make_node_source(session.config);
  if (!made) return fail(made.error());
  auto& source = session.kept == nullptr ? **made : session.kept->source;

  std::vector<IpAddress> addresses;
  for (const auto& uplink : facts.uplinks) {
    addresses.insert(addresses.end(), uplink.addresses.begin(), uplink.addresses.end());
  }
  const auto objects = read_objects(session, source, addresses);
  if (!objects) return fail(objects.error());
  auto own = state::own_node(session.config, *objects, addresses);
  if (!own) return fail(std::move(own.error()));
  if (auto done = add_own_key(session, *objects, ipsec, *own); !done) return fail(std::move(done.error()));
  auto cluster = state::make_cluster(session.config, *objects, *own);
  if (!cluster) return fail(std::move(cluster.error()));
  auto published = source.publication(*own);
  own->node_encryption = true;
  auto encrypting = source.publication(*own);
  return Input{std::move(cluster->nodes),
               {published.path.string(), std::move(published.content)},
               {encrypting.path.string(), std::move(encrypting.content)},
               says_it_encrypts(session.config, *objects),
               std::move(cluster->warnings)};
}

bool any_node_traffic(const state::Config& config, const Input& input) {
  return config.node_encryption || input.says_it_encrypts ||
         std::ranges::any_of(input.cluster, [](const auto& entry) { return entry.second.node_encryption == true; });
}

Result<> refuse_foreign(const Observation& seen, const state::Config& config) {
  if (config.encryption == state::Encryption::kNone) return {};
  const bool ipsec = config.encryption == state::Encryption::kIpsec;
  for (const auto& name : seen.foreign) {
    const bool wanted = name == (ipsec ? plan::kXfrmDevice : plan::kWireguardDevice) ||
                        (name == plan::kOverlayDevice && config.routing == state::Routing::kVxlan);
    if (!wanted) continue;
    return fail(
        Error(name + " exists and is not Sheath's")
            .hint("another encryption (Cilium's?) may be using it; if nothing does, remove it: ip link del " + name));
  }
  return {};
}

Result<> check_kernel(Session& session) {
  if (session.dry_run) return {};
  if (session.config.encryption == state::Encryption::kWireguard) return check_wireguard(session.socket);
  if (session.config.encryption == state::Encryption::kIpsec) return check_ipsec(session.socket);
  return {};
}

}  // namespace

Result<Session> open_session(const state::Config& config, bool dry_run, const Kept* kept) {
  if (auto allowed = check_privileges(); !allowed) return fail(std::move(allowed.error()));
  auto socket = netlink::Socket::open(NETLINK_ROUTE);
  if (!socket) return fail(std::move(socket.error()));
  return Session{config, dry_run, kept, std::move(*socket), {}};
}

Result<Situation> look_around(Session& session) {
  const auto& config = session.config;
  auto gathered = gather_facts(session.socket, config);
  if (!gathered) return fail(std::move(gathered.error()));
  std::optional<IpsecMaterial> ipsec;
  if (config.encryption == state::Encryption::kIpsec) {
    auto loaded = IpsecMaterial::load(config);
    if (!loaded) return fail(std::move(loaded.error()));
    ipsec = std::move(*loaded);
  }
  if (auto usable = check_kernel(session); !usable) return fail(std::move(usable.error()));
  auto input = read_input(session, gathered->facts, ipsec ? &*ipsec : nullptr);
  if (!input) return fail(std::move(input.error()));
  const bool may_use_uplinks = gathered->facts.all_rp_filter != 0 || config.delivery == state::Delivery::kUplink;
  if (any_node_traffic(config, *input) || may_use_uplinks) {
    auto routes = main_routes(session.socket);
    if (!routes) return fail(std::move(routes.error()));
    gathered->facts.routes = std::move(*routes);
  }
  auto seen = observe(session.socket, {config.paths.bpffs, config.paths.run, input->publication.path});
  if (!seen) return fail(std::move(seen.error()));
  if (auto refused = refuse_foreign(*seen, config); !refused) return fail(std::move(refused.error()));
  Situation now{std::move(*gathered), std::move(ipsec), std::move(*input), std::move(*seen), std::nullopt};
  if (!now.ipsec) return now;
  auto inputs = now.ipsec->inputs(config, now.input.cluster, now.seen.actual.ipsec, session.digests());
  if (!inputs) return fail(std::move(inputs.error()));
  now.ipsec_inputs = std::move(*inputs);
  return now;
}

}  // namespace sheath::engine
