/// Column families of Db: on the shard where the store was opened.

#include "ashlar/embed/db.h"
#include "ashlar/embed/engine.h"

namespace ashlar {

namespace {

Task<Result<std::vector<kv::Family>>> families_there(embed::Engine* engine) {
  co_return engine->open_store().families();
}

Task<Result<kv::Family>> family_there(embed::Engine* engine, std::string_view name) {
  co_return engine->open_store().family(name);
}

}  // namespace

Result<Family> Db::create_family(const std::string& name, const FamilyOptions& options) {
  const kv::FamilyOptions wanted = TRY(embed::engine_options(options));
  const auto made = TRY(engine_->run(embed::Engine::store_shard,
                                     [&] { return engine_->open_store().create_family(name, wanted); }));
  return embed::Engine::family_of(made);
}

Result<> Db::drop_family(const std::string& name) {
  return engine_->run(embed::Engine::store_shard, [&] { return engine_->open_store().drop_family(name); });
}

Result<std::vector<FamilyDescription>> Db::families() const {
  const auto found =
      TRY(engine_->run(embed::Engine::store_shard, [&] { return families_there(engine_.get()); }));
  std::vector<FamilyDescription> families;
  for (const kv::Family& family : found) {
    families.push_back({.name = family.name,
                        .family = embed::Engine::family_of(family),
                        .options = {.merge_operator = family.options.merge_operator,
                                    .ttl = std::chrono::milliseconds(family.options.ttl_ms)}});
  }
  return families;
}

Result<std::optional<Family>> Db::family(std::string_view name) const {
  const auto found =
      engine_->run(embed::Engine::store_shard, [&] { return family_there(engine_.get(), name); });
  if (!found && found.error().code == Errc::not_found) return std::nullopt;
  return embed::Engine::family_of(TRY(found));
}

}  // namespace ashlar
