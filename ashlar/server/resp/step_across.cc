#include "ashlar/server/resp/step_across.h"

namespace ashlar::resp {

kv::Isolation isolation_for(const CommandSpec& spec, std::size_t argument_count) noexcept {
  if (!needs_values(spec, argument_count)) return kv::Isolation::none;
  return (spec.flags & CommandFlag::readonly) != 0 ? kv::Isolation::snapshot : kv::Isolation::serializable;
}

StepAcross::StepAcross(Service& service, kv::Isolation isolation)
    : service_(service),
      step_(service.store(), {.isolation = isolation, .durability = service.durability()}) {}

Task<Result<>> StepAcross::run(const CommandSpec& spec, std::span<const std::string_view> arguments,
                               ReplyWriter reply) {
  std::vector<KeySlot> slots;
  if (!make_slots(spec, arguments, slots)) {
    reply.error(key_too_long);
    co_return Result<>{};
  }
  if (needs_values(spec, arguments.size())) {
    std::vector<kv::StoredKey> keys;
    for (const KeySlot& slot : slots) keys.push_back(slot.key);
    auto& found = values_.emplace_back(CO_TRY(co_await step_.multi_get(keys)));
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (!found[i]) continue;
      slots[i].value = kv::Value{as_bytes(found[i]->bytes), found[i]->expiry_ms, found[i]->sequence, {}};
    }
  }
  if ((spec.flags & CommandFlag::readonly) != 0) {
    KeyStats& stats = service_.stats().keys;
    for (const KeySlot& slot : slots) ++(slot.value ? stats.hits : stats.misses);
  }
  KeyCall call(arguments, slots, reply, *service_.place_of(slots[0].key).partition, service_.durability());
  call.join(step_);
  call.copy_values();
  spec.run_keys(call);
  co_return Result<>{};
}

Task<Result<>> StepAcross::commit() {
  const auto committed = co_await step_.commit();
  if (!committed) co_return std::unexpected(committed.error());
  co_return Result<>{};
}

}  // namespace ashlar::resp
