#include "tests/crash/kv_model.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

namespace ashlar::crash {

namespace {

constexpr std::uint64_t far_future_ms = std::uint64_t{1} << 42;  // later than any test gets

/// A stored key as one would write it.
std::string readable(const std::string& key) {
  return key.substr(kv::key_prefix_bytes, 20);
}

std::string readable(const Version& version) {
  return (version.value ? std::to_string(version.value->size()) + " bytes" : "nothing") + " of " +
         std::to_string(version.sequence.value);
}

bool expired(std::string_view value, std::uint64_t now_ms) {
  const std::uint64_t expiry = expiry_of(value);
  return expiry != kv::no_expiry && expiry <= now_ms;
}

}  // namespace

std::string text_of(const kv::StoredKey& key) {
  return std::string(as_text(key.bytes()));
}

std::uint64_t expiry_of(std::string_view value) {
  std::uint64_t number = 0;
  const char* const end = value.data() + value.size();
  const char* at = std::from_chars(value.data(), end, number).ptr;
  if (at == end) return kv::no_expiry;
  if (*at == 'f') return far_future_ms + number;
  if (*at != 'x') return kv::no_expiry;
  std::uint64_t life = 0;
  std::from_chars(at + 1, end, life);
  return first_life_ms + life * life_ms + life_ms / 2;
}

std::string difference(const State& found, const State& expected) {
  for (const auto& [key, version] : expected) {
    const auto there = found.find(key);
    if (there == found.end()) return readable(key) + " is missing, which is " + readable(version);
    if (there->second != version)
      return readable(key) + " is " + readable(there->second) + ", not " + readable(version);
  }
  for (const auto& [key, version] : found) {
    if (!expected.contains(key)) return readable(key) + " is there, " + readable(version);
  }
  return "";
}

void PartitionModel::append(Sequence sequence, std::vector<Change> changes) {
  for (const Change& change : changes) versions_[change.key].push_back({sequence, change.value});
  writes_.push_back({sequence, false, std::move(changes)});
}

void PartitionModel::clear(Sequence sequence) {
  for (auto& [key, versions] : versions_) versions.push_back({sequence, std::nullopt});
  writes_.push_back({sequence, true, {}});
}

void PartitionModel::stage(std::uint64_t transaction, std::vector<Change> changes) {
  for (const Change& change : changes) versions_[change.key];  // so that a clear knows of the key
  staged_[transaction] = {.changes = std::move(changes), .at = std::nullopt};
}

// What was in this partition's log before the prepare record is durable, and all of it has sequences below.
void PartitionModel::reveal(std::uint64_t transaction, Sequence at) {
  Staged& staged = staged_.at(transaction);
  staged.at = at;
  for (const Change& change : staged.changes) {
    auto& versions = versions_[change.key];
    const auto after =
        std::ranges::find_if(versions, [&](const Version& version) { return version.sequence > at; });
    versions.insert(after, {at, change.value});
  }
  promise(at);
}

bool PartitionModel::open(const std::string& key) const {
  return std::ranges::any_of(staged_, [&](const auto& entry) {
    return !entry.second.at &&
           std::ranges::any_of(entry.second.changes, [&](const Change& change) { return change.key == key; });
  });
}

std::optional<std::uint64_t> PartitionModel::writer_of(const std::string& key,
                                                       const std::string& value) const {
  for (const auto& [transaction, staged] : staged_) {
    if (staged.at) continue;
    for (const Change& change : staged.changes) {
      if (change.key == key && change.value == value) return transaction;
    }
  }
  return std::nullopt;
}

std::vector<std::string> PartitionModel::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, versions] : versions_) keys.push_back(key);
  return keys;
}

const Version* PartitionModel::newest(const std::string& key) const {
  return at(key, kv::sequence_max);
}

const Version* PartitionModel::at(const std::string& key, Sequence sequence) const {
  const auto found = versions_.find(key);
  if (found == versions_.end()) return nullptr;
  const Version* last = nullptr;
  for (const Version& version : found->second) {
    if (version.sequence <= sequence) last = &version;
  }
  return last;
}

State PartitionModel::all_at(Sequence sequence) const {
  State all;
  for (const auto& [key, versions] : versions_) {
    const Version* version = at(key, sequence);
    if (version != nullptr && version->value) all.emplace(key, *version);
  }
  return all;
}

bool PartitionModel::written_between(const std::string& key, Sequence since, Sequence until) const {
  const auto found = versions_.find(key);
  return found != versions_.end() && std::ranges::any_of(found->second, [&](const Version& version) {
           return version.value && since < version.sequence && version.sequence < until;
         });
}

testing::AssertionResult PartitionModel::scanned(const State& found, Sequence sequence,
                                                 const std::string& first, const std::string& last) const {
  State expected = all_at(sequence);
  std::erase_if(expected, [&](const auto& entry) {
    const bool outside = entry.first < first || (!last.empty() && entry.first >= last);
    return outside || (!found.contains(entry.first) && open(entry.first));
  });
  if (found == expected) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "a scan at " << sequence.value << ": " << difference(found, expected);
}

std::set<std::uint64_t> PartitionModel::committed() const {
  std::set<std::uint64_t> committed;
  for (const auto& [transaction, staged] : staged_) {
    if (staged.at) committed.insert(transaction);
  }
  return committed;
}

// A transaction reserves its sequence before it is prepared: below that of a copy, and yet prepared after it.
testing::AssertionResult PartitionModel::copied(State found, Sequence sequence,
                                                const std::set<std::uint64_t>& committed) const {
  std::erase_if(found, [&](const auto& entry) { return open(entry.first); });
  PartitionModel expected = *this;
  for (const auto& [transaction, staged] : staged_) {
    if (!staged.at || *staged.at > sequence || committed.contains(transaction)) continue;
    for (const Change& change : staged.changes) {
      const auto there = found.find(change.key);
      const bool has_it = there != found.end() && there->second == Version{*staged.at, change.value};
      const bool erased = there == found.end() && !change.value;
      if (has_it || erased) continue;
      std::erase_if(expected.versions_[change.key],
                    [&](const Version& version) { return version.sequence == *staged.at; });
    }
  }
  return expected.scanned(found, sequence) << ", in a copy";
}

testing::AssertionResult PartitionModel::shown(const std::string& key,
                                               const std::optional<std::string>& value, Sequence seen,
                                               Sequence since) {
  if (!value && open(key)) return testing::AssertionSuccess();  // perhaps erased by that transaction
  const Version* least = at(key, since);
  if (value || seen != Sequence{}) {
    const Version* version = at(key, seen);
    // An absence may be that of a clear, whose sequence is not the key's own.
    const bool right = value ? version != nullptr && version->sequence == seen && version->value == value
                             : version == nullptr || !version->value;
    if (!right)
      return testing::AssertionFailure() << readable(key) << " was shown as it never was, at " << seen.value;
    if (least != nullptr && least->sequence > seen) {
      return testing::AssertionFailure() << readable(key) << " was shown at " << seen.value
                                         << ", older than the promised " << least->sequence.value;
    }
    promise(seen);
    return testing::AssertionSuccess();
  }
  // Nothing, and no trace of it: some state not older than the promised one must be an absence.
  if (least == nullptr || !least->value) return testing::AssertionSuccess();
  for (const Version& version : versions_.at(key)) {
    if (version.sequence >= least->sequence && !version.value) return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << readable(key) << " is missing, and was promised at "
                                     << least->sequence.value;
}

/// A state that grows write by write beside the one that was found, and the keys in which they differ.
class PartitionModel::Comparison {
 public:
  Comparison(const State& found, std::uint64_t now_ms) : found_(found), now_ms_(now_ms) {
    for (const auto& [key, version] : found) different_.insert(key);
  }
  /// An open transaction, which was not found to be committed, may have erased the key and been committed
  /// still, where all that it put is overwritten.
  void may_be_absent(const std::string& key) { free_.insert(key); }

  void apply(const std::string& key, Sequence sequence, const std::optional<std::string>& value) {
    Version& version = state_[key];
    if (version.sequence > sequence) return;  // of a transaction that came later
    version = {sequence, value && !expired(*value, now_ms_) ? value : std::nullopt};
    compare(key, version);
  }
  void clear(Sequence sequence) {
    for (auto& [key, version] : state_) {
      if (version.sequence > sequence) continue;
      version = {sequence, std::nullopt};
      compare(key, version);
    }
  }
  bool same() const noexcept { return different_.empty(); }
  std::string difference() const {
    State present = state_;
    std::erase_if(present, [](const auto& entry) { return !entry.second.value; });
    return crash::difference(found_, present);
  }

 private:
  void compare(const std::string& key, const Version& version) {
    const auto there = found_.find(key);
    const bool same =
        there == found_.end() ? !version.value || free_.contains(key) : there->second == version;
    same ? void(different_.erase(key)) : void(different_.insert(key));
  }

  const State& found_;
  std::uint64_t now_ms_;
  State state_;  // with what is absent
  std::set<std::string> different_, free_;
};

testing::AssertionResult PartitionModel::adopt(const State& found, std::uint64_t now_ms) {
  Comparison comparison(found, now_ms);
  for (const auto& [transaction, staged] : staged_) {
    for (const Change& change : staged.changes) {
      const bool absent = !change.value || expired(*change.value, now_ms);
      if (!staged.at && absent) comparison.may_be_absent(change.key);
    }
  }
  for (const auto& [key, version] : base_) comparison.apply(key, version.sequence, version.value);
  for (const auto& [transaction, staged] : staged_) {
    for (const Change& change : staged.changes) {
      if (staged.at) comparison.apply(change.key, *staged.at, change.value);
    }
  }
  const bool nothing_promised = writes_.empty() || writes_.front().sequence > promised_;
  bool matches = nothing_promised && comparison.same();
  std::string at_promise = nothing_promised ? comparison.difference() : "";  // for the message
  for (std::size_t i = 0; i < writes_.size() && !matches; ++i) {
    const Write& write = writes_[i];
    if (write.clear) comparison.clear(write.sequence);
    for (const Change& change : write.changes) comparison.apply(change.key, write.sequence, change.value);
    const bool promises_kept = i + 1 == writes_.size() || writes_[i + 1].sequence > promised_;
    if (!promises_kept) continue;
    if (at_promise.empty()) at_promise = comparison.difference();
    matches = comparison.same();
  }
  if (!matches) {
    return testing::AssertionFailure() << fmt::format(
               "what was found is no state since the last promise ({}), of {} writes; at the promise {}",
               promised_.value, writes_.size(), at_promise);
  }
  base_ = found;
  writes_.clear();
  staged_.clear();
  versions_.clear();
  for (const auto& [key, version] : base_) versions_[key] = {version};
  promised_ = {};
  return testing::AssertionSuccess();
}

void PartitionModel::forget(std::uint8_t type) {
  const auto gone = [&](const auto& entry) { return static_cast<std::uint8_t>(entry.first.front()) == type; };
  std::erase_if(base_, gone);
  std::erase_if(versions_, gone);
}

void StoreModel::drop_family(std::uint8_t type) {
  families_.erase(type);
  for (PartitionModel& partition : partitions_) partition.forget(type);
}

bool StoreModel::counts(const std::string& key) const {
  const auto type = static_cast<std::uint8_t>(key.front());
  return type < static_cast<std::uint8_t>(kv::KeyType::column_family) || families_.contains(type);
}

std::uint64_t StoreModel::stage(const std::map<std::size_t, std::vector<Change>>& parts) {
  const std::uint64_t transaction = ++last_transaction_;
  for (const auto& [partition, changes] : parts) {
    partitions_[partition].stage(transaction, changes);
    open_[transaction].push_back(partition);
  }
  return transaction;
}

void StoreModel::reveal(std::uint64_t transaction, Sequence at) {
  const auto open = open_.find(transaction);
  if (open == open_.end()) return;
  for (const std::size_t partition : open->second) partitions_[partition].reveal(transaction, at);
  open_.erase(open);
}

void StoreModel::withdraw(std::uint64_t transaction) {
  const auto open = open_.find(transaction);
  if (open == open_.end()) return;
  for (const std::size_t partition : open->second) partitions_[partition].withdraw(transaction);
  open_.erase(open);
}

void StoreModel::saw(std::size_t partition, const std::string& key, const std::string& value, Sequence at) {
  if (open_.empty()) return;
  if (const auto writer = partitions_[partition].writer_of(key, value)) reveal(*writer, at);
}

void StoreModel::saw(std::size_t partition, const State& found) {
  if (open_.empty()) return;
  for (const auto& [key, version] : found) saw(partition, key, version.value.value_or(""), version.sequence);
}

testing::AssertionResult StoreModel::adopt(const std::vector<State>& found, std::uint64_t now_ms) {
  for (std::size_t id = 0; id < found.size(); ++id) saw(id, found[id]);
  open_.clear();
  for (std::size_t id = 0; id < found.size(); ++id) {
    if (auto adopted = partitions_[id].adopt(found[id], now_ms); !adopted)
      return adopted << ", in partition " << id;
  }
  return testing::AssertionSuccess();
}

}  // namespace ashlar::crash
