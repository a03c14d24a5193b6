#include "ashlar/embed/prepared_batch.h"

namespace ashlar::embed {

Result<> PreparedBatch::read(const kv::Partitioner& partitioner, const WriteBatch& batch) {
  using What = WriteBatch::What;
  keys_.reserve(batch.entries_.size());  // writes_ point into it
  writes_.reserve(batch.entries_.size());
  const std::string_view text = batch.text_;
  bool ranges = false;
  for (const WriteBatch::Entry& entry : batch.entries_) {
    const std::string_view key = text.substr(entry.begin, entry.key_bytes);
    const std::string_view value = text.substr(entry.begin + entry.key_bytes, entry.value_bytes);
    if (entry.what == What::erase_range) {
      ranges = true;
      if (partitioner.scheme() != kv::Partitioner::Scheme::range)
        return fail(Errc::unsupported, "a range of keys: they are spread by hash");
      if (key.size() > kv::user_key_bytes_max || value.size() > kv::user_key_bytes_max)
        return fail(Errc::too_large, "key");
      StoredRange range = StoredRange::of(key, value, {}, Engine::type_of(entry.family));
      note(partition_of_bound(partitioner, range.first));
      keys_.push_back(kv::StoredKey::from_stored(as_bytes(range.first)));
      writes_.push_back({.key = &keys_.back(),
                         .value = as_bytes(ends_.emplace_back(std::move(range.end))),
                         .kind = kv::Kind::erase_range});
      note(last_partition_below(partitioner, ends_.back()));
      continue;
    }
    if (key.size() > kv::user_key_bytes_max) return fail(Errc::too_large, "key");
    keys_.push_back(
        partitioner.stored(as_bytes(key), static_cast<kv::KeyType>(Engine::type_of(entry.family))));
    note(partitioner.partition_of(keys_.back()));
    writes_.push_back({.key = &keys_.back(),
                       .value = as_bytes(value),
                       .kind = entry.what == What::put     ? kv::Kind::put
                               : entry.what == What::merge ? kv::Kind::merge
                                                           : kv::Kind::erase,
                       .expiry_ms = entry.expiry_ms});
  }
  if (ranges && across_) return fail(Errc::unsupported, "a range of keys in a batch across partitions");
  return {};
}

}  // namespace ashlar::embed
