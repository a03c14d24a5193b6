/// A block's payload that parses is read in every way without leaving it.

#include <cstdint>
#include <cstdlib>

#include "ashlar/kv/lsm/table/block.h"

using namespace ashlar;
using namespace ashlar::lsm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes payload{reinterpret_cast<const std::byte*>(data), size};
  const auto block = Block::parse(payload, {1, 4096});
  if (!block) {
    if (block.error().code != Errc::corrupt || block.error().object != 1) std::abort();
    return 0;
  }
  const auto inside = [&](Bytes part) {
    return part.empty() ||
           (part.data() >= payload.data() && part.data() + part.size() <= payload.data() + size);
  };
  KeyBuffer key;
  for (std::uint32_t i = 0; i < block->count() && i < 300; ++i) {
    const Entry entry = block->entry(i, key);
    if (!inside(entry.value) || entry.key.size() < kv::key_prefix_bytes) std::abort();
    const std::uint64_t hash = key_hash(entry.key);
    for (const std::uint64_t snapshot : {entry.sequence.value, ~std::uint64_t{0}}) {
      const BlockLookup found = block->find(entry.key, hash, Sequence{snapshot});
      if (found.state == BlockLookup::State::found && !inside(found.entry.value)) std::abort();
      Block::Hint(*block).prefetch(hash);
    }
    if (block->lower_bound(entry.key, entry.sequence) > block->count()) std::abort();
  }
  // What also verifies finds every version of every key.
  if (block->verify({1, 4096})) {
    for (std::uint32_t i = 0; i < block->count() && i < 300; ++i) {
      const Entry entry = block->entry(i, key);
      const BlockLookup found = block->find(entry.key, key_hash(entry.key), entry.sequence);
      if (found.state != BlockLookup::State::found || found.entry.sequence != entry.sequence) std::abort();
      if (block->lower_bound(entry.key, entry.sequence) != i) std::abort();
    }
  }
  return 0;
}
