#include "ashlar/embed/prepared_batch.h"

namespace ashlar::embed {

Result<> PreparedBatch::read(const Engine& engine, const WriteBatch& batch) {
  keys_.reserve(batch.entries_.size());  // writes_ point into it
  writes_.reserve(batch.entries_.size());
  const std::string_view text = batch.text_;
  for (const WriteBatch::Entry& entry : batch.entries_) {
    keys_.push_back(TRY(engine.stored(text.substr(entry.begin, entry.key_bytes))));
    const kv::PartitionId id = engine.partitioner().partition_of(keys_.back());
    if (keys_.size() == 1) partition_ = id;
    if (id != partition_) return fail(Errc::unsupported, "a batch across partitions");
    writes_.push_back({.key = &keys_.back(),
                       .value = as_bytes(text.substr(entry.begin + entry.key_bytes, entry.value_bytes)),
                       .kind = entry.what == WriteBatch::What::put ? kv::Kind::put : kv::Kind::erase,
                       .expiry_ms = entry.expiry_ms});
  }
  return {};
}

}  // namespace ashlar::embed
